use crate::{
    auth::{JwtConfig, MintClaims, Minter},
    config::{Config, Loaded},
    demo::{Claims, Mint, Services},
    observability::Logger,
    server::{self, Source, StartError},
    types::ListenAddress,
};
use std::{
    io::{self, Write},
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
};

/// Built in, so that the demo needs no file.
const CONFIG: &str = include_str!("../../conf/demo.yaml");

/// How long the printed token is valid.
const HOUR: Duration = Duration::from_secs(60 * 60);

/// The page that a preflight comes from where the configuration names none.
const ORIGIN: &str = "http://localhost:5173";

#[derive(clap::Args)]
#[command(after_help = "Examples:
  edgeway demo --listen 127.0.0.1:8081
  JWT_SECRET_KEY=$(openssl rand -hex 32) edgeway demo --services-only 0.0.0.0    for a gateway elsewhere")]
pub(super) struct Arguments {
    /// Where to listen. The demo's passwords and its key are known to all: stay on the loopback interface
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: ListenAddress,
    /// Only the six services, each on its usual port of this address (8010, 8001 to 8004, 8000), and no gateway: for
    /// one that runs elsewhere with conf/edgeway.yaml. Tokens are signed with JWT_SECRET_KEY
    #[arg(long, value_name = "ADDRESS", conflicts_with = "listen")]
    services_only: Option<IpAddr>,
}

/// Ports first, because the configuration names them; then the key of the configuration; then the services.
pub(super) fn run(arguments: &Arguments) -> Result<(), StartError> {
    if let Some(address) = arguments.services_only {
        return services_only(address);
    }
    server::survive_early_signals()?;
    let services = Services::bind()?;
    let loaded = load(&arguments.listen, &services)?;
    let logger = Logger::start(&loaded.config.log, loaded.config.server.debug);
    let jwt = jwt(&loaded)?;
    let mint = mint(jwt)?;
    let token = mint(&Claims::admin(HOUR)).map_err(io::Error::other)?;
    services.serve(&mint, jwt.lifetime.get())?;
    let origin = loaded.config.cors.allow_origins.0.iter().find(|origin| !origin.contains('*'));
    let origin = origin.map_or(ORIGIN, String::as_str).to_owned();
    let started = |addresses: &[String]| {
        let address = addresses.first().map_or("127.0.0.1:8080", String::as_str);
        // A closed stdout is no reason not to serve.
        _ = io::stdout().write_all(welcome(&callable(address), &token, &origin).as_bytes());
    };
    let source = Source::Fixed(Box::new(loaded.clone()));
    server::run(loaded, source, logger, None, started).map_err(|error| explain(error, &arguments.listen))
}

/// Until SIGTERM or SIGINT. As the first process of a container it would hear neither without a handler.
fn services_only(address: IpAddr) -> Result<(), StartError> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let (mut terminate, mut interrupt) = {
        let _inside = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
    };
    let services = Services::bind_usual(address)?;
    // The key is the gateway's, and so is how long tokens are valid.
    let shared = |name: &str| matches!(name, "JWT_SECRET_KEY" | "JWT_EXPIRE_MINUTES").then(|| std::env::var(name).ok());
    let loaded = Config::parse(CONFIG, "conf/demo.yaml", &|name| shared(name).flatten())?;
    let jwt = jwt(&loaded)?;
    let places: String = services.list().map(|service| format!("  {}: {}\n", service.name, service.url)).collect();
    services.serve(&mint(jwt)?, jwt.lifetime.get())?;
    _ = io::stdout().write_all(format!("six services of the demo serve on\n{places}").as_bytes());
    runtime.block_on(async {
        tokio::select! {
            _ = terminate.recv() => (),
            _ = interrupt.recv() => (),
        }
    });
    Ok(())
}

fn jwt(loaded: &Loaded) -> Result<&JwtConfig, io::Error> {
    let jwt = loaded.config.auth.jwt.as_ref();
    jwt.ok_or_else(|| io::Error::other("conf/demo.yaml has no auth.jwt, so nobody could log in"))
}

/// The environment has no say, so that the demo is the same everywhere.
fn load(listen: &ListenAddress, services: &Services) -> Result<Loaded, StartError> {
    let address = listen.to_string();
    let (host, port) = address.rsplit_once(':').unwrap_or((&address, "8080"));
    let variables = |name: &str| match name {
        "HOST" => Some(host.to_owned()),
        "PORT" => Some(port.to_owned()),
        name => services.variable(name),
    };
    let loaded = Config::parse(CONFIG, "conf/demo.yaml", &variables)?;
    // That everybody knows its key and its passwords is said where it is started.
    Ok(Loaded { warnings: Vec::new(), ..loaded })
}

fn mint(jwt: &JwtConfig) -> Result<Mint, StartError> {
    let minter = Minter::build(jwt, None).map_err(|error| io::Error::other(error.reason))?;
    Ok(Arc::new(move |claims: &Claims| {
        let claims = MintClaims {
            sub: claims.sub.clone(),
            username: Some(claims.username.clone()),
            role: Some(claims.role.clone()),
            permissions: claims.permissions.clone(),
            ttl: claims.ttl,
        };
        minter.mint(&claims).map_err(|error| error.to_string())
    }))
}

/// One line, with a command that works, where the port is taken.
fn explain(error: StartError, listen: &ListenAddress) -> StartError {
    let wanted = listen.to_string();
    match error {
        StartError::Io(error) if error.kind() == io::ErrorKind::AddrInUse && error.to_string().contains(&wanted) => {
            let port = listen.port.checked_add(1).unwrap_or(8080);
            let other = ListenAddress { host: listen.host.clone(), port };
            let advice = format!("{wanted} is in use by another program; try: edgeway demo --listen {other}");
            StartError::Io(io::Error::new(error.kind(), advice))
        }
        other => other,
    }
}

/// Who listens on every interface is called on this machine's own.
fn callable(address: &str) -> String {
    match address.parse::<SocketAddr>() {
        Ok(SocketAddr::V4(listened)) if listened.ip().is_unspecified() => format!("127.0.0.1:{}", listened.port()),
        Ok(SocketAddr::V6(listened)) if listened.ip().is_unspecified() => format!("[::1]:{}", listened.port()),
        _ => address.to_owned(),
    }
}

/// What to paste into a shell: `sh` and `curl` are enough for all of it.
fn welcome(at: &str, token: &str, origin: &str) -> String {
    format!(
        r#"
  Edgeway serves on http://{at}, six small services behind it.
  Documentation: http://{at}/docs

  Log in as kim, a member, and keep the token ...

    TOKEN=$(curl -s {at}/api/auth/login -H 'Content-Type: application/json' \
      -d '{{"username":"kim","password":"kim"}}' | cut -d'"' -f4)

  ... or be admin for an hour (or log in with admin/admin):

    ADMIN={token}

  Then try:
{tries}
  Ctrl-C ends it. Below: the access log, a line of JSON for each request.

"#,
        tries = tries(at, origin),
    )
}

fn tries(at: &str, origin: &str) -> String {
    let kim = r#"-H "Authorization: Bearer $TOKEN""#;
    let admin = r#"-H "Authorization: Bearer $ADMIN""#;
    let json = "-H 'Content-Type: application/json'";
    let member = r#"-d '{"name":"이몽룡","email":"lee@portal.example"}'"#;
    let all = [
        ("200: who am I, as the services see it", format!("curl -i {at}/api/auth/me {kim}")),
        ("200: the members", format!("curl -i {at}/api/members {kim}")),
        (
            "201: a new one, and created_by says who",
            format!("curl -i {at}/api/members {admin} \\\n      {json} {member}"),
        ),
        ("307: to the gateway's own address, not to the service's", format!("curl -i {at}/api/members/ {kim}")),
        ("401: no token", format!("curl -i {at}/api/members")),
        ("403: a member may not delete members", format!("curl -i -X DELETE {at}/api/members/1 {kim}")),
        ("404: no such place", format!("curl -i {at}/api/nothing")),
        ("405: no such method there", format!("curl -i -X DELETE {at}/api/feeds")),
        ("200: how the services are", format!("curl -i {at}/health")),
        (
            "204: a browser's preflight",
            format!(
                "curl -i -X OPTIONS {at}/api/members -H 'Origin: {origin}' \\\n      \
                 -H 'Access-Control-Request-Method: DELETE'"
            ),
        ),
    ];
    all.map(|(what, command)| format!("\n    # {what}\n    {command}\n")).concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn the_welcome_fits_a_terminal() {
        let text = welcome("127.0.0.1:8080", "TOKEN", ORIGIN);
        let wide: Vec<_> = text.lines().filter(|line| line.chars().count() > 100).collect();
        assert!(wide.is_empty(), "{wide:#?}");
    }

    #[test]
    fn every_command_of_the_welcome_is_understood_by_sh() {
        let text = welcome("[::1]:8080", "a.b.c", ORIGIN);
        let commands: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("    ")).collect();
        assert!(commands.len() > 20, "{commands:#?}");
        let status = Command::new("sh").args(["-n", "-c", &commands.join("\n")]).status().unwrap();
        assert!(status.success());
    }

    #[test]
    fn an_unspecified_address_is_called_on_loopback() {
        let cases = [
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("[::]:80", "[::1]:80"),
            ("192.0.2.7:80", "192.0.2.7:80"),
            ("[::1]:80", "[::1]:80"),
        ];
        for (listened, called) in cases {
            assert_eq!(callable(listened), called);
        }
    }

    #[test]
    fn a_port_in_use_is_one_line_with_a_command_that_works() {
        let in_use = |text: &str| StartError::Io(io::Error::new(io::ErrorKind::AddrInUse, text.to_owned()));
        let listen: ListenAddress = "127.0.0.1:8080".parse().unwrap();
        let advice = "127.0.0.1:8080 is in use by another program; try: edgeway demo --listen 127.0.0.1:8081";
        assert_eq!(explain(in_use("cannot listen on 127.0.0.1:8080"), &listen).to_string(), advice);
        let other = "cannot listen on 127.0.0.1:9901";
        assert_eq!(explain(in_use(other), &listen).to_string(), other);
    }
}
