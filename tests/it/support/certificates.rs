use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose, SerialNumber,
    date_time_ymd,
};
use std::{
    fs,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// An authority of a test's own, in a folder of its own.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

/// A certificate to be.
pub struct Wanted<'a> {
    /// The common name; DNS names beside it.
    pub name: &'a str,
    pub names: &'a [&'a str],
    pub serial: u64,
    /// The year it ends in, on the first of January.
    pub ends: i32,
}

impl<'a> Wanted<'a> {
    pub fn of(name: &'a str, names: &'a [&'a str]) -> Self {
        Self { name, names, serial: 1, ends: 2099 }
    }
}

/// The two files of a certificate.
#[derive(Clone)]
pub struct Files {
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "An authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    /// The file of the authority itself.
    pub fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Certificate and key in PEM.
    pub fn made(&self, wanted: &Wanted<'_>) -> (String, String) {
        let names: Vec<String> = wanted.names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, wanted.name);
        params.serial_number = Some(SerialNumber::from(wanted.serial));
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(wanted.ends, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// The same in files called after `file`.
    pub fn issue(&self, file: &str, wanted: &Wanted<'_>) -> Files {
        let (cert, key) = self.made(wanted);
        let files = Files { cert: self.path(&format!("{file}.pem")), key: self.path(&format!("{file}.key")) };
        fs::write(&files.cert, cert).unwrap();
        fs::write(&files.key, key).unwrap();
        files
    }
}

impl Files {
    /// `{ cert_file: …, key_file: … }`.
    pub fn section(&self) -> String {
        format!("{{ cert_file: {}, key_file: {} }}", self.cert.display(), self.key.display())
    }
}

/// Put `text` into the place of `file`, in one step.
pub fn replace(file: &Path, text: &str) {
    let draft = file.with_extension("draft");
    fs::write(&draft, text).unwrap();
    fs::rename(draft, file).unwrap();
}
