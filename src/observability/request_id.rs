use bytes::Bytes;
use http::HeaderValue;

/// Longest id of a caller that is kept, in bytes (spec section 9).
const LONGEST: usize = 128;

/// Names one request: in the answer, in the log and to the service.
#[derive(Clone, Debug)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// A new one: `req-` and 16 hexadecimal digits.
    pub fn random() -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let number = fastrand::u64(..);
        let mut text = *b"req-0000000000000000";
        for (at, byte) in text.iter_mut().skip(4).enumerate() {
            *byte = DIGITS.get((number >> (60 - 4 * at) & 15) as usize).copied().unwrap_or(b'0');
        }
        let text = Bytes::copy_from_slice(&text);
        Self(HeaderValue::from_maybe_shared(text).unwrap_or(HeaderValue::from_static("req-0")))
    }

    /// The id that a trusted proxy sent, where it is one: `[A-Za-z0-9._-]{1,128}`.
    pub fn kept(sent: &HeaderValue) -> Option<Self> {
        let known = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
        let fits = (1..=LONGEST).contains(&sent.len()) && sent.as_bytes().iter().all(known);
        fits.then(|| Self(sent.clone()))
    }

    /// As a header; copying it is a reference count.
    pub fn header(&self) -> HeaderValue {
        self.0.clone()
    }

    /// As a text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_told_apart_and_look_alike() {
        let (one, other) = (RequestId::random(), RequestId::random());
        assert!(one.as_str().starts_with("req-") && one.as_str().len() == 20, "{one:?}");
        assert_ne!(one.as_str(), other.as_str());
    }

    #[test]
    fn a_sent_id_is_kept_only_where_it_is_harmless() {
        let kept = |text: &str| RequestId::kept(&HeaderValue::from_str(text).unwrap()).is_some();
        assert!(kept("req-1") && kept("A.b_c-9") && kept(&"x".repeat(128)));
        assert!(!kept("") && !kept("a b") && !kept("a\"b") && !kept("<x>") && !kept(&"x".repeat(129)));
    }
}
