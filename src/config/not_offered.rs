//! Keys of other gateways that this one refuses by name.

/// What is not offered, and what to do instead.
const NOT_OFFERED: [(&[&str], &str); 7] = [
    (&["http3", "quic"], "pingora has no HTTP/3, and load balancers speak HTTP/1.1 and h2 to their targets"),
    (&["waf"], "a web application firewall belongs in front of the gateway"),
    (&["static", "static_files"], "files are served by a service or a CDN"),
    (&["tcp", "udp"], "only HTTP is proxied"),
    (&["lua", "wasm", "script", "scripts"], "nothing foreign runs inside the process"),
    (&["session", "sessions", "login"], "a browser's login is left to the load balancer or to a service"),
    (&["compose", "aggregate"], "an answer comes from one service; compose in a service of your own"),
];

/// Why `key` is not offered, if it is one of those.
pub(super) fn why_not(key: &str) -> Option<&'static str> {
    let entry = NOT_OFFERED.iter().find(|(keys, _)| keys.contains(&key.to_ascii_lowercase().as_str()));
    entry.map(|(_, why)| *why)
}
