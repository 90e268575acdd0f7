/// Why a request has no meaning that everybody would agree on. Messages are for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The first line is not `method SP target SP version`, or its target has a byte that no URL has.
    #[error("the first line of the request is malformed")]
    RequestLine,
    /// Neither HTTP/1.1 nor HTTP/1.0.
    #[error("the HTTP version is none that is spoken here")]
    Version,
    /// More than one in front of the request.
    #[error("there are empty lines in front of the request")]
    EmptyLines,
    /// A line that ends without CR.
    #[error("a line of the request does not end with CR LF")]
    BareLineFeed,
    /// A header over several lines, which RFC 9112 section 5.2 takes back.
    #[error("a header is folded over several lines")]
    FoldedLine,
    /// More than pingora reads (256), whatever `max_headers` says.
    #[error("the request has too many headers")]
    TooManyHeaders,
    /// Doubled, listed, signed, with leading zeros, or no number.
    #[error("Content-Length is not one decimal number")]
    Length,
    /// Anything but one `chunked`, or with HTTP/1.0.
    #[error("Transfer-Encoding is not just chunked")]
    Coding,
    /// RFC 9112 section 6.1 allows to refuse it, and nobody means it well.
    #[error("Content-Length and Transfer-Encoding exclude each other")]
    LengthAndCoding,
    /// `Content_Length`: a CGI server takes it for the one with a dash.
    #[error("a framing header is written with underscores")]
    Underscore,
    /// `Connection: content-length`: the next hop would not know where the message ends.
    #[error("Connection names a header that every hop needs")]
    Nominated,
    /// RFC 9110 section 10.1.1.
    #[error("the expectation is none that can be met")]
    Expectation,
    /// A character that is none of a token (RFC 9110 section 5.6.2).
    #[error("a header has a name that is none")]
    FieldName,
    /// A control character, or a blank at an end (RFC 9113 section 8.2.1).
    #[error("a header has a character that is not allowed")]
    FieldValue,
    /// A size, an extension, a trailer or the end of a chunk.
    #[error("the chunks of the body are malformed")]
    Chunk,
}

impl Malformed {
    /// Every one, for the table of codes.
    pub const ALL: [Self; 15] = [
        Self::RequestLine,
        Self::Version,
        Self::EmptyLines,
        Self::BareLineFeed,
        Self::FoldedLine,
        Self::TooManyHeaders,
        Self::Length,
        Self::Coding,
        Self::LengthAndCoding,
        Self::Underscore,
        Self::Nominated,
        Self::Expectation,
        Self::FieldName,
        Self::FieldValue,
        Self::Chunk,
    ];

    /// The stable name and the status of its refusal.
    pub fn code_and_status(self) -> (&'static str, u16) {
        match self {
            Self::RequestLine
            | Self::Version
            | Self::EmptyLines
            | Self::BareLineFeed
            | Self::FoldedLine
            | Self::Nominated
            | Self::FieldName
            | Self::FieldValue => ("bad_request", 400),
            Self::TooManyHeaders => ("too_many_headers", 431),
            Self::Length | Self::Coding | Self::LengthAndCoding | Self::Underscore => ("bad_framing", 400),
            Self::Expectation => ("expectation_failed", 417),
            Self::Chunk => ("bad_chunk", 400),
        }
    }

    /// What the log says beyond the code.
    pub fn reason(self) -> &'static str {
        match self {
            Self::RequestLine => "request line",
            Self::Version => "version",
            Self::EmptyLines => "empty lines",
            Self::BareLineFeed => "bare LF",
            Self::FoldedLine => "folded line",
            Self::TooManyHeaders => "headers",
            Self::Length => "Content-Length",
            Self::Coding => "Transfer-Encoding",
            Self::LengthAndCoding => "Content-Length beside Transfer-Encoding",
            Self::Underscore => "underscores in a framing header",
            Self::Nominated => "Connection",
            Self::Expectation => "Expect",
            Self::FieldName => "a header's name",
            Self::FieldValue => "a header's value",
            Self::Chunk => "chunk",
        }
    }
}
