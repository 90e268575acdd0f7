//! One spelling for every path (RFC 3986 section 6.2.2), and none for what can be read in two ways.

use super::TargetError;

/// What a path became.
pub(super) struct Normal {
    pub(super) path: String,
    /// Whether a segment holds a slash in disguise.
    pub(super) encoded_slash: bool,
}

/// Whether `path` is in its normal form already: almost all are, and then nothing is built.
///
/// A byte-wise look; whatever needs a second one is not normal here.
pub(super) fn is_normal(path: &[u8]) -> bool {
    let mut previous = 0;
    for &byte in path {
        // A dot after a slash may begin a dot segment, a slash after a slash an empty one.
        if !(is_plain(byte) || byte == b'/') || (previous == b'/' && (byte == b'/' || byte == b'.')) {
            return false;
        }
        previous = byte;
    }
    path.first() == Some(&b'/')
}

/// The normal form of a path that begins with `/`: unreserved characters decoded, other escapes in capitals, no empty
/// and no dot segments. `%2F` stays inside its segment.
pub(super) fn normalise(path: &[u8]) -> Result<Normal, TargetError> {
    let decoded = decode(path)?;
    let path = without_dots(&decoded.path)?;
    Ok(Normal { path, encoded_slash: decoded.encoded_slash })
}

fn decode(path: &[u8]) -> Result<Normal, TargetError> {
    let mut text = String::with_capacity(path.len());
    // Every byte as a service would see it, to find over-long and other broken UTF-8.
    let mut bytes = Vec::with_capacity(path.len());
    let mut encoded_slash = false;
    let mut rest = path.iter();
    while let Some(&byte) = rest.next() {
        if byte != b'%' {
            if !is_plain(byte) && byte != b'/' {
                return Err(TargetError::Character);
            }
            text.push(byte.into());
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(*digit).to_digit(16)).ok_or(TargetError::Encoding);
        let byte = (digit()? * 16 + digit()?) as u8;
        bytes.push(byte);
        match byte {
            b'\\' | 0..=0x1f | 0x7f => return Err(TargetError::Character),
            plain if is_unreserved(plain) => text.push(plain.into()),
            other => {
                encoded_slash |= other == b'/';
                push_escaped(&mut text, other);
            }
        }
    }
    match std::str::from_utf8(&bytes) {
        Ok(_) => Ok(Normal { path: text, encoded_slash }),
        Err(_) => Err(TargetError::Encoding),
    }
}

fn push_escaped(text: &mut String, byte: u8) {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or('0').to_ascii_uppercase();
    text.push('%');
    text.push(digit(byte >> 4));
    text.push(digit(byte & 15));
}

/// RFC 3986 section 5.2.4, and no empty segments but the last.
fn without_dots(path: &str) -> Result<String, TargetError> {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        // Some servers take `..;x` for `..`; nobody needs such a name.
        let name = segment.split(';').next().unwrap_or_default();
        match segment {
            "" | "." => (),
            ".." => drop(kept.pop()),
            _ if name == "." || name == ".." => return Err(TargetError::Ambiguous),
            other => kept.push(other),
        }
    }
    let open = ["/", "/.", "/.."].iter().any(|end| path.ends_with(end)) && !kept.is_empty();
    let mut normal = String::with_capacity(path.len());
    for segment in &kept {
        normal.push('/');
        normal.push_str(segment);
    }
    if open || kept.is_empty() {
        normal.push('/');
    }
    Ok(normal)
}

/// What a segment may hold as it is: RFC 3986 section 3.3, `pchar` without escapes.
fn is_plain(byte: u8) -> bool {
    is_unreserved(byte) || matches!(byte, b'!' | b'$' | b'&'..=b',' | b';' | b'=' | b':' | b'@')
}

/// RFC 3986 section 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}
