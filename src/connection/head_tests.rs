use super::*;

fn read(head: &str) -> Result<Body, Malformed> {
    let mut reader = HeadReader::default();
    let found = reader.read(head.as_bytes()).unwrap_or_else(|| panic!("no end in {head:?}"));
    assert_eq!(found.used, head.len(), "{head:?}");
    found.body
}

fn with(lines: &str) -> Result<Body, Malformed> {
    read(&format!("POST /a?b HTTP/1.1\r\nHost: a\r\n{lines}\r\n"))
}

#[test]
fn a_body_is_as_long_as_its_head_says_in_one_way() {
    for (lines, body) in [
        ("", Body::None),
        ("Content-Length: 0\r\n", Body::None),
        ("content-LENGTH:\t17 \r\n", Body::Length(17)),
        ("Content-Length: 9223372036854775807\r\n", Body::Length(i64::MAX as u64)),
        ("Transfer-Encoding: Chunked\r\n", Body::Chunked),
        ("Connection: close, x-a\r\nExpect: 100-Continue\r\nTE: trailers\r\nCookie: a\r\n", Body::None),
        ("Content-Type: text/plain\r\nContent-Lengths: 1\r\nTransfer: x\r\n", Body::None),
    ] {
        assert_eq!(with(lines), Ok(body), "{lines:?}");
    }
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    for (lines, fault) in [
        ("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", Malformed::LengthAndCoding),
        ("Content-Length: 1\r\nContent-Length: 1\r\n", Malformed::Length),
        ("Content-Length: 1, 1\r\n", Malformed::Length),
        ("Content-Length: 01\r\n", Malformed::Length),
        ("Content-Length: +1\r\n", Malformed::Length),
        ("Content-Length:\r\n", Malformed::Length),
        ("Content-Length: 9223372036854775808\r\n", Malformed::Length),
        ("Content_Length: 1\r\n", Malformed::Underscore),
        ("Transfer_Encoding: chunked\r\n", Malformed::Underscore),
        ("Transfer-Encoding : chunked\r\nContent-Length: 1\r\n", Malformed::LengthAndCoding),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Malformed::Coding),
        ("Transfer-Encoding: gzip, chunked\r\n", Malformed::Coding),
        ("Transfer-Encoding: \x0bchunked\r\n", Malformed::Coding),
        ("Connection: close, Content-Length\r\n", Malformed::Nominated),
        ("Expect: 200-ok\r\n", Malformed::Expectation),
        ("A: b\r\n c\r\n", Malformed::FoldedLine),
        ("A: b\n", Malformed::BareLineFeed),
    ] {
        assert_eq!(with(lines), Err(fault), "{lines:?}");
    }
    for (head, fault) in [
        ("GET /a b HTTP/1.1\r\n\r\n", Malformed::RequestLine),
        ("GET  /a HTTP/1.1\r\n\r\n", Malformed::RequestLine),
        ("GET /a  HTTP/1.1\r\n\r\n", Malformed::RequestLine),
        ("GET /a\0 HTTP/1.1\r\n\r\n", Malformed::RequestLine),
        ("GET /a#b HTTP/1.1\r\n\r\n", Malformed::RequestLine),
        ("GET /ä HTTP/1.1\r\n\r\n", Malformed::RequestLine),
        ("GET /a\r\n\r\n", Malformed::RequestLine),
        ("GET\t/a\tHTTP/1.1\r\n\r\n", Malformed::RequestLine),
        ("GET /a HTTP/1.1 \r\n\r\n", Malformed::Version),
        ("GET /a HTTP/1.2\r\n\r\n", Malformed::Version),
        ("GET /a HTTP/1.1\n\n", Malformed::BareLineFeed),
        ("GET /a HTTP/1.1\r\nA: b\r\n\n", Malformed::BareLineFeed),
        ("\r\n\r\nGET /a HTTP/1.1\r\n\r\n", Malformed::EmptyLines),
        ("GET /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", Malformed::Coding),
    ] {
        assert_eq!(read(head), Err(fault), "{head:?}");
    }
    assert_eq!(read("\r\nGET /a HTTP/1.0\r\n\r\n"), Ok(Body::None), "one empty line is ignored");
}

#[test]
fn pieces_make_no_difference() {
    let rest = b"0\r\n\r\nGET /b HTTP/1.1\r\n\r\n";
    for head in [
        "\r\nPOST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST /a HTTP/1.1\r\nA: b\n\n",
        "POST /a HTTP/1.1\n\r\n",
    ] {
        let whole = [head.as_bytes(), rest].concat();
        let expected = HeadReader::default().read(&whole).unwrap();
        assert_eq!(expected.used, head.len());
        for size in 1..whole.len() {
            let mut reader = HeadReader::default();
            let mut before = 0;
            let found = whole.chunks(size).find_map(|piece| {
                let found = reader.read(piece);
                before += if found.is_none() { piece.len() } else { 0 };
                found
            });
            let found = found.unwrap();
            assert_eq!((before + found.used, found.body), (head.len(), expected.body), "{head:?} by {size}");
            assert_eq!(reader.pending(), 0);
        }
    }
}

#[test]
fn empty_lines_without_end_are_noticed() {
    let mut reader = HeadReader::default();
    assert_eq!(reader.read(b"\r\n"), None);
    assert!(!reader.is_blank());
    assert_eq!(reader.read(b"\r"), None);
    assert!(!reader.is_blank());
    assert_eq!(reader.read(b"\n"), None);
    assert!(reader.is_blank());
}
