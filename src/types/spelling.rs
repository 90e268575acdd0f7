//! Names of headers as others read them.

/// Whether some server takes one name for the other: CGI, WSGI and their heirs take `x_user_id` for `x-user-id`.
pub fn is_same_for_cgi(one: &str, other: &str) -> bool {
    let dashed = |byte: u8| if byte == b'_' { b'-' } else { byte };
    one.len() == other.len() && one.bytes().map(dashed).eq(other.bytes().map(dashed))
}
