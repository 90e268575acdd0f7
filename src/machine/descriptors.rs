use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// What almost every system has at least; where it does not say.
const USUAL: u64 = 1024;

/// How many file descriptors may be open at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptors {
    /// That many.
    pub most: u64,
    /// Why it is not as many as the hard limit allows, where the system refused that: a filter of system calls may.
    pub refused: Option<String>,
}

impl Descriptors {
    /// Raise the soft limit to the hard one, which needs no privilege, and say what holds then. The soft one is 1024 almost
    /// everywhere, for the sake of `select`, which nothing here calls.
    pub fn raise() -> Self {
        let (soft, hard) = match getrlimit(Resource::RLIMIT_NOFILE) {
            Ok(limits) => limits,
            Err(error) => {
                return Self { most: USUAL, refused: Some(format!("file descriptors: {error}; taken as {USUAL}")) };
            }
        };
        if soft >= hard {
            return Self { most: soft, refused: None };
        }
        match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
            Ok(()) => Self { most: hard, refused: None },
            Err(error) => Self { most: soft, refused: Some(format!("{hard} file descriptors: {error}; {soft} stay")) },
        }
    }
}
