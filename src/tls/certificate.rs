//! What a certificate says.

use crate::types::ClientCertificate;
use rustls::crypto::hash::Hash;
use std::fmt::Write;
use x509_parser::{
    certificate::X509Certificate,
    extensions::GeneralName,
    objects::{oid_registry, oid2abbrev},
    parse_x509_certificate,
    x509::X509Name,
};

/// What operators and the choice by name need of a certificate of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Its DNS names, in small letters.
    pub names: Box<[Box<str>]>,
    /// When it ends, in seconds since 1970.
    pub expires: u64,
}

/// What the certificate `der` says of itself; `None`: it is malformed.
pub(super) fn describe(der: &[u8]) -> Option<Described> {
    let (_, certificate) = parse_x509_certificate(der).ok()?;
    let names = alternatives(&certificate).into_iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase().into()),
        _ => None,
    });
    Some(Described { names: names.collect(), expires: expires(&certificate) })
}

/// What a caller's certificate says; the handshake has checked it. `None`: it is malformed.
pub(super) fn of_caller(der: &[u8]) -> Option<ClientCertificate> {
    let (_, certificate) = parse_x509_certificate(der).ok()?;
    let names = alternatives(&certificate).into_iter().filter_map(|name| match name {
        GeneralName::DNSName(name) | GeneralName::RFC822Name(name) | GeneralName::URI(name) => Some((*name).into()),
        _ => None,
    });
    let common_name = certificate.subject().iter_common_name().last().and_then(|name| name.as_str().ok());
    Some(ClientCertificate {
        subject: rfc4514(certificate.subject()).into(),
        common_name: common_name.map(Into::into),
        names: names.collect(),
        sha256: digest(der),
        expires: expires(&certificate),
    })
}

fn digest(der: &[u8]) -> [u8; 32] {
    let mut digest = [0; 32];
    let suite = rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
    if let Some(tls13) = suite.tls13() {
        let hash: &dyn Hash = tls13.common.hash_provider;
        digest.copy_from_slice(hash.hash(der).as_ref());
    }
    digest
}

fn expires(certificate: &X509Certificate<'_>) -> u64 {
    certificate.validity().not_after.timestamp().try_into().unwrap_or(0)
}

fn alternatives<'c>(certificate: &'c X509Certificate<'_>) -> Vec<&'c GeneralName<'c>> {
    let found = certificate.subject_alternative_name().ok().flatten();
    found.map(|found| found.value.general_names.iter().collect()).unwrap_or_default()
}

/// RFC 4514: the most specific part first, special characters escaped.
fn rfc4514(name: &X509Name<'_>) -> String {
    let mut text = String::new();
    let parts: Vec<_> = name.iter_rdn().collect();
    for part in parts.into_iter().rev() {
        for (at, attribute) in part.iter().enumerate() {
            if at > 0 {
                text.push('+');
            } else if !text.is_empty() {
                text.push(',');
            }
            let oid = attribute.attr_type();
            match (oid2abbrev(oid, oid_registry()), attribute.as_str()) {
                (Ok(word), Ok(value)) => {
                    text.push_str(word);
                    text.push('=');
                    escape(value, &mut text);
                }
                // Section 2.4: what has no string form is written as bytes.
                _ => {
                    _ = write!(text, "{}=#", oid.to_id_string());
                    attribute.as_slice().iter().for_each(|byte| _ = write!(text, "{byte:02x}"));
                }
            }
        }
    }
    text
}

/// RFC 4514 section 2.4.
fn escape(value: &str, text: &mut String) {
    let last = value.chars().count().saturating_sub(1);
    for (at, letter) in value.chars().enumerate() {
        let at_an_end = (letter == ' ' && (at == 0 || at == last)) || (letter == '#' && at == 0);
        match letter {
            '\0' => text.push_str("\\00"),
            _ if at_an_end || "\"+,;<>\\".contains(letter) => text.extend(['\\', letter]),
            _ => text.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    fn made(names: &[&str], subject: &[(DnType, &str)]) -> Vec<u8> {
        let mut params =
            CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        subject.iter().for_each(|(kind, value)| params.distinguished_name.push(kind.clone(), *value));
        params.subject_alt_names.push(SanType::URI("spiffe://example/billing".try_into().unwrap()));
        params.not_after = rcgen::date_time_ymd(2030, 1, 1);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn a_callers_certificate_is_described() {
        let subject = [(DnType::OrganizationName, "Example, Inc."), (DnType::CommonName, " billing")];
        let der = made(&["Billing.example"], &subject);
        let certificate = of_caller(&der).unwrap();
        assert_eq!(&*certificate.subject, "CN=\\ billing,O=Example\\, Inc.");
        assert_eq!(certificate.common_name.as_deref(), Some(" billing"));
        assert_eq!(
            certificate.names.iter().map(|name| &**name).collect::<Vec<_>>().join(" "),
            "Billing.example spiffe://example/billing"
        );
        assert_eq!(certificate.expires, 1_893_456_000);
        let known = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &der);
        assert_eq!(certificate.sha256, known.as_ref());
        assert_eq!(describe(&der).unwrap().names.join(" "), "billing.example");
        assert!(of_caller(b"x").is_none() && describe(b"").is_none());
    }
}
