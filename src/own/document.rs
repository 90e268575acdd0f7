//! One document of the pages: whole, compressed, or "you have it already".

use crate::types::Reply;
use bytes::Bytes;
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use std::{
    hash::{DefaultHasher, Hasher},
    io::{self, Read, Write},
    sync::OnceLock,
};

/// All that the two tools need, and nothing else: ReDoc searches in a worker that it makes from a blob, both write
/// styles into the page. No script may stand in a page, and nothing comes from another host.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; \
     font-src 'self' data:; connect-src 'self'; worker-src blob:; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'",
);

/// Below this gzip's own 18 bytes, its tables and the `Vary` gain nothing worth a second form.
const WORTH_COMPRESSING: usize = 1024;

/// How long a browser may use a document without asking.
#[derive(Clone, Copy, Debug)]
pub(super) enum Caching {
    /// It asks every time: a reload may have changed it.
    Ask,
    /// A day. Pages name the version behind a `?v=`, so that a new one is seen at once.
    Day,
}

/// A document with all its answers, made before anybody asks.
#[derive(Debug)]
pub(super) struct Document {
    gzip: Option<Form>,
    /// Empty until somebody who does not take gzip asks for a document that is kept compressed.
    plain: OnceLock<Form>,
    head: Head,
}

#[derive(Clone, Copy, Debug)]
struct Head {
    content_type: &'static str,
    caching: Caching,
}

/// One representation: strong tags differ between them (RFC 9110 section 8.8.1).
#[derive(Debug)]
struct Form {
    tag: String,
    whole: Reply,
    unchanged: Reply,
}

impl Document {
    /// A document that is made here.
    pub(super) fn text(content_type: &'static str, caching: Caching, body: impl Into<Bytes>) -> Self {
        let (body, head) = (body.into(), Head { content_type, caching });
        let packed = (body.len() >= WORTH_COMPRESSING).then(|| compress(&body).ok()).flatten();
        let gzip = packed.map(|packed| Form::new(head, packed.into(), Coding::Gzip));
        let coding = if gzip.is_some() { Coding::Identity } else { Coding::Only };
        Self { gzip, plain: OnceLock::from(Form::new(head, body, coding)), head }
    }

    /// A document that comes compressed with the binary.
    pub(super) fn packed(content_type: &'static str, caching: Caching, gzip: &'static [u8]) -> Self {
        let head = Head { content_type, caching };
        Self { gzip: Some(Form::new(head, Bytes::from_static(gzip), Coding::Gzip)), plain: OnceLock::new(), head }
    }

    /// A word that changes with the content.
    pub(super) fn version(&self) -> &str {
        self.gzip.as_ref().or_else(|| self.plain.get()).map_or("", |form| form.tag.trim_matches('"'))
    }

    /// The answer to a request with these headers.
    pub(super) fn answer(&self, headers: &HeaderMap) -> Reply {
        match &self.gzip {
            Some(form) if prefers_gzip(headers) => form.answer(headers),
            packed => self.plain.get_or_init(|| unpacked(self.head, packed.as_ref())).answer(headers),
        }
    }
}

/// Which of its forms one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Gzip,
    /// There is a compressed one too.
    Identity,
    Only,
}

impl Form {
    fn new(head: Head, body: Bytes, coding: Coding) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write(&body);
        let tag = format!("\"{:016x}\"", hasher.finish());
        let caching = match head.caching {
            Caching::Ask => "no-cache",
            Caching::Day => "public, max-age=86400",
        };
        let mut unchanged = Reply::empty(StatusCode::NOT_MODIFIED)
            .header(header::CACHE_CONTROL, HeaderValue::from_static(caching))
            .header(header::ETAG, HeaderValue::from_str(&tag).unwrap_or(HeaderValue::from_static("")));
        if coding != Coding::Only {
            unchanged = unchanged.header(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        }
        let mut whole = Reply::new(StatusCode::OK, head.content_type, body);
        whole.headers.extend(unchanged.headers.iter().cloned());
        whole.headers.extend(guards());
        if coding == Coding::Gzip {
            whole = whole.header(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        Self { tag, whole, unchanged }
    }

    fn answer(&self, headers: &HeaderMap) -> Reply {
        if has(headers, &self.tag) { self.unchanged.clone() } else { self.whole.clone() }
    }
}

/// What keeps a browser from making more of a document than it is.
fn guards() -> [(HeaderName, HeaderValue); 4] {
    [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ]
}

fn compress(body: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}

fn unpacked(head: Head, gzip: Option<&Form>) -> Form {
    let mut body = Vec::new();
    if let Some(form) = gzip {
        // What is embedded is whole: a test unpacks every asset.
        _ = GzDecoder::new(&*form.whole.body).read_to_end(&mut body);
    }
    Form::new(head, body.into(), Coding::Identity)
}

/// Whether gzip is welcome, and no less than the document as it is (RFC 9110 section 12.5.3).
fn prefers_gzip(headers: &HeaderMap) -> bool {
    let (mut gzip, mut identity, mut others) = (None, None, None);
    for member in members(headers, &header::ACCEPT_ENCODING) {
        let (coding, weight) = match member.split_once(';') {
            Some((coding, parameter)) => (coding.trim_end(), quality(parameter)),
            None => (member, Some(1.0)),
        };
        let place = match coding {
            "*" => &mut others,
            _ if coding.eq_ignore_ascii_case("gzip") || coding.eq_ignore_ascii_case("x-gzip") => &mut gzip,
            _ if coding.eq_ignore_ascii_case("identity") => &mut identity,
            _ => continue,
        };
        *place = weight.or(*place);
    }
    let gzip: f32 = gzip.or(others).unwrap_or(0.0);
    gzip > 0.0 && gzip >= identity.unwrap_or(0.0)
}

/// RFC 9110 section 12.4.2: `q=`, and 0 to 1 with at most three digits behind the point.
fn quality(parameter: &str) -> Option<f32> {
    let (name, value) = parameter.trim().split_once('=')?;
    let formed = value.len() <= 5 && value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    value.parse().ok().filter(|weight| formed && name.eq_ignore_ascii_case("q") && *weight <= 1.0)
}

/// `If-None-Match` compares weakly (RFC 9110 section 13.1.2).
fn has(headers: &HeaderMap, tag: &str) -> bool {
    members(headers, &header::IF_NONE_MATCH).any(|known| known == "*" || known.trim_start_matches("W/") == tag)
}

/// The members of a list header; none of ours has a comma inside.
fn members<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    headers.get_all(name).iter().filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(HeaderName, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    fn of<'r>(reply: &'r Reply, name: &HeaderName) -> Option<&'r str> {
        reply.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.to_str().unwrap())
    }

    #[test]
    fn gzip_is_sent_to_those_who_want_it() {
        for (accepted, expected) in [
            ("gzip", true),
            ("deflate, GZIP;q=0.5, br", true),
            ("x-gzip", true),
            ("*", true),
            ("br;q=1.0, *;q=0.1", true),
            ("identity;q=0.5, gzip;q=0.5", true),
            ("gzip ; q=1.000", true),
            ("", false),
            ("br", false),
            ("gzip;q=0", false),
            ("gzip;q=0.000", false),
            ("gzip;q=0, *", false),
            ("*;q=0", false),
            ("identity, gzip;q=0.9", false),
            ("gzip;q=nan", false),
            ("gzip;q=2", false),
            ("gzip;level=9", false),
            ("gzipped", false),
        ] {
            let said = headers(&[(header::ACCEPT_ENCODING, accepted)]);
            assert_eq!(prefers_gzip(&said), expected, "{accepted}");
        }
        assert!(!prefers_gzip(&HeaderMap::new()), "who says nothing may be a script without an unpacker");
        let lines = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static("br"))]);
        let mut two = lines.clone();
        two.append(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        assert!(!prefers_gzip(&lines) && prefers_gzip(&two), "two lines are one list");
    }

    #[test]
    fn a_known_tag_is_answered_without_a_body() {
        let document = Document::text("text/plain", Caching::Ask, "x".repeat(5000));
        let gzip = [(header::ACCEPT_ENCODING, "gzip")];
        let (plain, packed) = (document.answer(&HeaderMap::new()), document.answer(&headers(&gzip)));
        let tags = [&plain, &packed].map(|reply| of(reply, &header::ETAG).unwrap().to_owned());
        assert_ne!(tags[0], tags[1], "two forms are two representations");
        for (known, expected) in [
            (tags[0].clone(), 304),
            (format!("W/{}", tags[0]), 304),
            (format!("\"other\", {}", tags[0]), 304),
            ("*".to_owned(), 304),
            (tags[1].clone(), 200),
            (tags[0].trim_matches('"').to_owned(), 200),
        ] {
            let said = HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_str(&known).unwrap())]);
            let reply = document.answer(&said);
            assert_eq!(reply.status, expected, "{known}");
            assert_eq!(reply.body.is_empty(), expected == 304, "{known}");
            for name in [header::ETAG, header::CACHE_CONTROL, header::VARY] {
                assert_eq!(of(&reply, &name), of(&plain, &name), "{known}: {name}");
            }
        }
    }

    #[test]
    fn both_forms_are_the_same_text() {
        let text = "a page ".repeat(1000);
        let gzip = headers(&[(header::ACCEPT_ENCODING, "gzip")]);
        let made = Document::text("text/plain", Caching::Ask, text.clone());
        let packed: &'static [u8] = compress(text.as_bytes()).unwrap().leak();
        let embedded = Document::packed("text/plain", Caching::Day, packed);
        for document in [made, embedded] {
            let (plain, packed) = (document.answer(&HeaderMap::new()), document.answer(&gzip));
            assert_eq!(plain.body, text);
            assert_eq!(
                (of(&plain, &header::CONTENT_ENCODING), of(&plain, &header::VARY)),
                (None, Some("Accept-Encoding"))
            );
            assert_eq!(of(&packed, &header::CONTENT_ENCODING), Some("gzip"));
            let mut unpacked = String::new();
            GzDecoder::new(&*packed.body).read_to_string(&mut unpacked).unwrap();
            assert_eq!(unpacked, text);
        }
        let small = Document::text("text/plain", Caching::Ask, "small").answer(&gzip);
        assert_eq!((&*small.body, of(&small, &header::VARY)), (&b"small"[..], None));
    }
}
