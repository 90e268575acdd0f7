use super::*;
use dns::{Dns, Failure};
use std::{fs, net::Ipv4Addr, path::Path};
use tempfile::TempDir;

/// The files of a machine of the test's own.
fn files(folder: &Path, resolv_conf: &str, hosts: &str) -> Files {
    let files = Files { resolv_conf: folder.join("resolv.conf"), hosts: folder.join("hosts") };
    fs::write(&files.resolv_conf, resolv_conf).unwrap();
    fs::write(&files.hosts, hosts).unwrap();
    files
}

fn config(servers: &[&Dns]) -> DnsConfig {
    let servers = servers.iter().map(|dns| DnsServer(dns.address)).collect();
    DnsConfig { servers: List(servers), search: false, timeout: Span::seconds(10) }
}

/// Asks `servers`; the machine's own files say nothing.
fn resolver(servers: &[&Dns]) -> Resolver {
    Resolver::with_files(&config(servers), Files { resolv_conf: "/nowhere".into(), hosts: "/nowhere".into() }).unwrap()
}

fn addresses(text: &str) -> Vec<IpAddr> {
    text.split_whitespace().map(|address| address.parse().unwrap()).collect()
}

async fn host(resolver: &Resolver, name: &str) -> String {
    shown(resolver.ask(&Name::Host(name.into())).await)
}

async fn service(resolver: &Resolver, name: &str) -> String {
    shown(resolver.ask(&Name::Service(name.into())).await)
}

/// `10.0.0.7 10.0.0.8 30s`, of services `10.0.0.7:80*5/0`.
fn shown(answer: Answer) -> String {
    match answer {
        Answer::Found { records, ttl } => {
            let one = |record: &Record| match record.port {
                Some(port) => {
                    let address = SocketAddr::new(record.address, port);
                    format!("{address}*{}/{} ", record.weight, record.priority)
                }
                None => format!("{} ", record.address),
            };
            format!("{}{ttl:?}", records.iter().map(one).collect::<String>())
        }
        Answer::Nothing { ttl } => format!("nothing {ttl:?}"),
        Answer::Failed(reason) => format!("failed: {reason}"),
    }
}

#[tokio::test]
async fn a_host_is_its_addresses_of_both_kinds_in_order() {
    let dns = Dns::start();
    dns.set_a("member.example", &addresses("10.0.0.9 10.0.0.7 fd00::7 10.0.0.9"), 30);
    let resolver = resolver(&[&dns]);
    assert_eq!(host(&resolver, "member.example").await, "10.0.0.7 10.0.0.9 fd00::7 30s");
    assert_eq!(host(&resolver, "MEMBER.example.").await, "10.0.0.7 10.0.0.9 fd00::7 30s");
    assert_eq!(dns.asked("member.example"), 4, "nothing is kept");
    assert_eq!(dns.over_tcp(), 0);
}

#[tokio::test]
async fn nothing_is_an_answer() {
    let dns = Dns::start();
    dns.set_a("empty.example", &[], 30);
    let resolver = resolver(&[&dns]);
    for name in ["missing.example", "empty.example"] {
        dns.set_negative_ttl(Some(7));
        assert_eq!(host(&resolver, name).await, "nothing 7s");
        assert_eq!(service(&resolver, name).await, "nothing 7s");
        dns.set_negative_ttl(None);
        assert_eq!(host(&resolver, name).await, "nothing 5s", "where the server does not say how long");
    }
}

#[tokio::test]
async fn a_failure_is_no_answer() {
    let dns = Dns::start();
    dns.set_a("member.example", &addresses("10.0.0.7"), 30);
    let mut config = config(&[&dns]);
    config.timeout = Span::milliseconds(500);
    let resolver = Resolver::with_files(&config, Files::default()).unwrap();
    for (failure, word) in [
        (Failure::ServFail, "answers SERVFAIL"),
        (Failure::Refused, "answers REFUSED"),
        (Failure::Silent, "does not answer"),
    ] {
        dns.fail(failure);
        assert_eq!(host(&resolver, "member.example").await, format!("failed: {} {word}", dns.address));
        assert_eq!(service(&resolver, "member.example").await, format!("failed: {} {word}", dns.address));
    }
    dns.fail(Failure::None);
    assert_eq!(host(&resolver, "member.example").await, "10.0.0.7 30s");
    for name in ["a..example", "", ".", &"a".repeat(64)] {
        assert_eq!(host(&resolver, name).await, "failed: it is not a DNS name", "{name}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_fails() {
    // Nobody else is given the port while this holds it.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let config =
        DnsConfig { servers: List(vec![DnsServer(address)]), timeout: Span::milliseconds(300), ..DnsConfig::default() };
    let resolver = Resolver::build(&config).unwrap();
    assert_eq!(host(&resolver, "member.example").await, format!("failed: {address} does not answer"));
}

#[tokio::test]
async fn the_next_server_is_asked_only_where_one_fails() {
    let (first, second) = (Dns::start(), Dns::start());
    second.set_a("member.example", &addresses("10.0.0.7"), 30);
    let config = DnsConfig { timeout: Span::seconds(2), ..config(&[&first, &second]) };
    let resolver = Resolver::with_files(&config, Files::default()).unwrap();
    assert_eq!(host(&resolver, "member.example").await, "nothing 1s", "the first knows that there is nothing");
    assert_eq!(second.asked("member.example"), 0);
    first.fail(Failure::ServFail);
    assert_eq!(host(&resolver, "member.example").await, "10.0.0.7 30s");
    first.fail(Failure::Silent);
    second.fail(Failure::Refused);
    let both = format!("failed: {} does not answer, {} answers REFUSED", first.address, second.address);
    assert_eq!(host(&resolver, "member.example").await, both);
}

#[tokio::test]
async fn what_was_found_of_one_kind_counts_when_the_other_fails() {
    let dns = Dns::start();
    dns.fail(Failure::ServFailForIpv6);
    dns.set_a("both.example", &addresses("10.0.0.7 fd00::7"), 30);
    dns.set_a("new.example", &addresses("fd00::7"), 30);
    let resolver = resolver(&[&dns]);
    assert_eq!(host(&resolver, "both.example").await, "10.0.0.7 30s");
    assert!(host(&resolver, "new.example").await.starts_with("failed: "), "there may be an address of the other kind");
    assert_eq!(
        host(&resolver, "missing.example").await,
        "nothing 1s",
        "a name that does not exist has none of any kind"
    );
}

#[tokio::test]
async fn a_name_is_asked_for_as_it_is_written() {
    let (dns, folder) = (Dns::start(), TempDir::new().unwrap());
    let files = files(folder.path(), "search a.example b.example\noptions ndots:5\n", "");
    let resolver = Resolver::with_files(&config(&[&dns]), files).unwrap();
    assert_eq!(host(&resolver, "Member_1").await, "nothing 1s");
    let mut questions = dns.questions();
    questions.sort();
    assert_eq!(questions, ["A member_1", "AAAA member_1"], "once, and not below a search domain");
}

#[tokio::test]
async fn a_search_list_is_used_where_it_is_wanted() {
    let (dns, folder) = (Dns::start(), TempDir::new().unwrap());
    let files = files(folder.path(), "nameserver 192.0.2.1\nsearch a.example b.example\noptions ndots:2\n", "");
    let resolver = Resolver::with_files(&DnsConfig { search: true, ..config(&[&dns]) }, files.clone()).unwrap();
    let asked = |dns: &Dns| {
        let questions = dns.questions().into_iter().filter(|question| !question.starts_with("AAAA"));
        questions.map(|question| question.split(' ').nth(1).unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(service(&resolver, "member").await, "nothing 1s");
    assert_eq!(asked(&dns), "member.a.example member.b.example member");
    dns.set_a("member.b.example", &addresses("10.0.0.7"), 30);
    assert_eq!(host(&resolver, "member").await, "10.0.0.7 30s");
    assert_eq!(asked(&dns).matches(' ').count(), 4, "no further than needed");
    assert_eq!(host(&resolver, "member.").await, "nothing 1s", "a dot at the end: absolute");
    assert_eq!(host(&resolver, "x.y.z").await, "nothing 1s");
    assert!(asked(&dns).ends_with("member x.y.z x.y.z.a.example x.y.z.b.example"), "enough dots: as it is first");
    dns.fail(Failure::ServFail);
    let before = dns.questions().len();
    assert!(host(&resolver, "member").await.starts_with("failed: "));
    assert_eq!(dns.questions().len() - before, 2, "after a failure another name could be somebody else's");
    fs::remove_file(&files.resolv_conf).unwrap();
    let wanted = format!("failed: {}: ", files.resolv_conf.display());
    assert!(host(&resolver, "member").await.starts_with(&wanted), "without the list the name is not known");
}

#[tokio::test]
async fn the_files_of_the_machine_are_followed() {
    let (one, other, folder) = (Dns::start(), Dns::start(), TempDir::new().unwrap());
    one.set_a("member.example", &addresses("10.0.0.7"), 30);
    other.set_a("member.example", &addresses("10.0.0.8"), 30);
    let files = files(folder.path(), "", "10.0.0.1 Cache_1 cache.example # first\n::5 v6.example\n");
    let resolver = Resolver::with_files(&config(&[&one]), files.clone()).unwrap();
    assert_eq!(host(&resolver, "cache_1").await, "10.0.0.1 5s");
    assert_eq!(host(&resolver, "CACHE.example.").await, "10.0.0.1 5s");
    assert_eq!(host(&resolver, "v6.example").await, "::5 5s");
    assert_eq!(host(&resolver, "localhost").await, "127.0.0.1 ::1 5s");
    assert_eq!(host(&resolver, "a.localhost").await, "127.0.0.1 ::1 5s");
    assert_eq!(one.questions(), [""; 0], "nobody is asked for what is known, of neither kind");
    fs::write(&files.hosts, "127.0.0.1 localhost\n10.0.0.2 member.example\n").unwrap();
    assert_eq!(host(&resolver, "localhost").await, "127.0.0.1 5s", "the file says it better");
    assert_eq!(host(&resolver, "member.example").await, "10.0.0.2 5s");
    fs::remove_file(&files.hosts).unwrap();
    assert_eq!(host(&resolver, "member.example").await, "10.0.0.7 30s");
    assert_eq!(one.asked("member.example"), 2);
}

#[tokio::test]
async fn a_machine_without_resolv_conf_knows_its_hosts() {
    let folder = TempDir::new().unwrap();
    let files = files(folder.path(), "nameserver 127.0.0.2\n", "10.0.0.1 cache\n");
    fs::remove_file(&files.resolv_conf).unwrap();
    let resolver = Resolver::with_files(&DnsConfig::default(), files.clone()).unwrap();
    assert_eq!(host(&resolver, "cache").await, "10.0.0.1 5s");
    let failed = host(&resolver, "member.example").await;
    assert!(failed.ends_with("; set dns.servers"), "{failed}");
    fs::write(&files.resolv_conf, "nameserver 127.0.0.2\nnameserver 127.0.0.3\n").unwrap();
    assert_eq!(format!("{:?}", resolver.view().servers), "Ok([127.0.0.2:53, 127.0.0.3:53])", "it came");
}

#[tokio::test]
async fn a_service_is_hosts_with_ports_weights_and_priorities() {
    let dns = Dns::start();
    let name = "_http._tcp.member.example";
    dns.set_a("a.example", &addresses("10.0.0.1 fd00::1"), 60);
    dns.set_a("b.example", &addresses("10.0.0.2"), 20);
    dns.set_srv(name, &[(1, 5, 81, "b.example"), (0, 0, 80, "a.example"), (2, 9, 80, "missing.example")], 30);
    let resolver = resolver(&[&dns]);
    let wanted = "10.0.0.1:80*1/0 10.0.0.2:81*5/1 [fd00::1]:80*1/0";
    dns.set_negative_ttl(Some(60));
    assert_eq!(service(&resolver, name).await, format!("{wanted} 20s"));
    assert_eq!(dns.asked("a.example"), 0, "its addresses came with the answer");
    assert_eq!(dns.asked("missing.example"), 2);
    dns.tell_no_more_than_asked();
    assert_eq!(service(&resolver, name).await, format!("{wanted} 20s"));
    assert_eq!(dns.asked("a.example"), 2, "its addresses did not");
}

#[tokio::test]
async fn a_service_without_hosts_is_nothing() {
    let dns = Dns::start();
    dns.set_srv("root.example", &[(0, 0, 0, ".")], 30);
    dns.set_srv("port.example", &[(0, 0, 0, "a.example")], 30);
    dns.set_srv("gone.example", &[(0, 0, 80, "missing.example"), (0, 0, 81, "missing.example")], 30);
    dns.set_a("host.example", &addresses("10.0.0.1"), 30);
    dns.set_a("a.example", &addresses("10.0.0.1"), 30);
    let resolver = resolver(&[&dns]);
    for (name, wanted) in [
        ("root.example", "nothing 30s"),
        ("port.example", "nothing 30s"),
        ("gone.example", "nothing 1s"),
        ("host.example", "nothing 1s"),
    ] {
        assert_eq!(service(&resolver, name).await, wanted, "{name}");
    }
    assert_eq!(dns.asked("missing.example"), 2, "once for both");
}

#[tokio::test]
async fn a_host_that_cannot_be_resolved_is_left_out_of_its_service() {
    let dns = Dns::start();
    dns.fail(Failure::ServFailForIpv6);
    dns.tell_no_more_than_asked();
    dns.set_a("a.example", &addresses("10.0.0.1"), 60);
    dns.set_a("b.example", &addresses("fd00::1"), 60);
    dns.set_srv("some.example", &[(0, 1, 80, "a.example"), (0, 1, 80, "b.example")], 60);
    dns.set_srv("none.example", &[(0, 1, 80, "b.example")], 60);
    let resolver = resolver(&[&dns]);
    assert_eq!(service(&resolver, "some.example").await, "10.0.0.1:80*1/0 5s", "and asked for again soon");
    let wanted = format!("failed: b.example.: {} answers SERVFAIL", dns.address);
    assert_eq!(service(&resolver, "none.example").await, wanted);
}

#[tokio::test]
async fn the_most_important_hosts_of_a_large_service_are_looked_at() {
    let dns = Dns::start();
    dns.tell_no_more_than_asked();
    let names: Vec<String> = (0..70).map(|at| format!("h{at}.example")).collect();
    for (at, name) in names.iter().enumerate() {
        dns.set_a(name, &[Ipv4Addr::new(10, 0, 0, at as u8).into()], 60);
    }
    // The last ones come first.
    let services: Vec<_> = names.iter().enumerate().map(|(at, name)| (0, at as u16 + 1, 80, name.as_str())).collect();
    dns.set_srv("large.example", &services, 60);
    let answer = resolver(&[&dns]).ask(&Name::Service("large.example".into())).await;
    let Answer::Found { records, .. } = answer else { panic!("{answer:?}") };
    assert_eq!(records.len(), 64);
    assert_eq!(records.first().unwrap().address, Ipv4Addr::new(10, 0, 0, 6));
    assert!(dns.over_tcp() > 0, "the answer is long");
}

#[tokio::test]
async fn aliases_are_followed() {
    let dns = Dns::start();
    dns.set_alias("one.example", "two.example", 9);
    dns.set_alias("two.example", "three.example", 40);
    dns.set_a("three.example", &addresses("10.0.0.3"), 30);
    dns.set_alias("lost.example", "missing.example", 3);
    dns.set_alias("circle.example", "circle.example", 30);
    dns.set_alias("srv.example", "_http._tcp.three.example", 7);
    dns.set_srv("_http._tcp.three.example", &[(0, 1, 80, "three.example")], 30);
    dns.set_negative_ttl(Some(60));
    let resolver = resolver(&[&dns]);
    let check = async |dns: &Dns| {
        assert_eq!(host(&resolver, "one.example").await, "10.0.0.3 9s", "the shortest on the way");
        assert_eq!(host(&resolver, "lost.example").await, "nothing 3s");
        assert_eq!(service(&resolver, "srv.example").await, "10.0.0.3:80*1/0 7s");
        dns.asked("two.example")
    };
    assert_eq!(check(&dns).await, 0, "all of it came in one answer");
    dns.tell_no_more_than_asked();
    assert_eq!(check(&dns).await, 2, "each was asked for");
    let lost = "failed: its aliases (CNAME) lead nowhere";
    assert_eq!(host(&resolver, "circle.example").await, lost);
}

#[tokio::test]
async fn aliases_that_lead_nowhere_fail() {
    let dns = Dns::start();
    dns.tell_no_more_than_asked();
    dns.set_negative_ttl(None);
    dns.set_alias("a.example", "b.example", 30);
    dns.set_alias("b.example", "a.example", 30);
    let resolver = resolver(&[&dns]);
    assert_eq!(host(&resolver, "a.example").await, "failed: its aliases (CNAME) lead nowhere");
    assert_eq!(dns.questions().len(), 16, "8 of each kind");
}

#[tokio::test]
async fn a_long_answer_comes_over_tcp() {
    let dns = Dns::start();
    let many: Vec<IpAddr> = (0..200).map(|at| Ipv4Addr::new(10, 0, 0, at).into()).collect();
    dns.set_a("member.example", &many, 30);
    let resolver = resolver(&[&dns]);
    for round in 1..=3 {
        let answer = resolver.ask(&Name::Host("member.example".into())).await;
        let Answer::Found { records, .. } = answer else { panic!("{answer:?}") };
        assert_eq!((records.len(), dns.over_tcp()), (200, round));
    }
}

#[tokio::test]
async fn a_question_that_is_in_flight_is_not_asked_twice() {
    let dns = Dns::start();
    dns.delay(Duration::from_millis(200));
    dns.set_a("member.example", &addresses("10.0.0.7"), 30);
    let resolver = resolver(&[&dns]);
    let (one, other) = tokio::join!(host(&resolver, "member.example"), host(&resolver, "member.example"));
    assert_eq!([one.as_str(), &other], ["10.0.0.7 30s"; 2]);
    assert_eq!((dns.most_open("member.example"), dns.asked("member.example")), (1, 2));
}

#[test]
fn it_works_on_after_the_end_of_the_runtime_that_asked_first() {
    let dns = Dns::start();
    let many: Vec<IpAddr> = (0..200).map(|at| Ipv4Addr::new(10, 0, 0, at).into()).collect();
    dns.set_a("member.example", &addresses("10.0.0.7"), 30);
    dns.set_a("many.example", &many, 30);
    let resolver = resolver(&[&dns]);
    for _ in 0..3 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        assert_eq!(runtime.block_on(host(&resolver, "member.example")), "10.0.0.7 30s");
        assert!(runtime.block_on(host(&resolver, "many.example")).ends_with("10.0.0.199 30s"));
    }
}

#[test]
fn the_section_is_read_and_checked() {
    let read = |text: &str| serde_yaml::from_str::<DnsConfig>(text).map_err(|error| error.to_string());
    let shown = |text: &str| {
        let servers = read(text).unwrap().servers;
        servers.iter().map(|server| server.0.to_string()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(shown("servers: 10.0.0.10, fd00::10"), "10.0.0.10:53 [fd00::10]:53");
    assert_eq!(shown("servers: ['10.0.0.10:5353', '[fd00::10]:54']"), "10.0.0.10:5353 [fd00::10]:54");
    assert_eq!(read("{}").unwrap(), DnsConfig::default());
    for text in ["servers: [dns.example]", "servers: ['10.0.0.1:0']", "server: 10.0.0.1", "servers: ['[::1]']"] {
        assert!(read(text).is_err(), "{text}");
    }
    let build = |text: &str| Resolver::build(&read(text).unwrap()).map(drop);
    assert_eq!(build("timeout: 0"), Err("dns.timeout: out of range; write more than 0s".to_owned()));
    let nine = format!("servers: '{}'", "10.0.0.1,".repeat(9));
    assert_eq!(build(&nine), Err("dns.servers: 9 servers; keep at most 8".to_owned()));
    assert_eq!(build("{}"), Ok(()));
}
