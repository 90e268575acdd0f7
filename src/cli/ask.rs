//! Questions to the running gateway, over its admin listener.

use super::ConfigArgument;
use crate::{
    config::Config,
    net::{Answer, Ask, Client, NetError, Url},
    server::StartError,
};
use http::{HeaderMap, HeaderValue, Method, header};
use std::{io, time::Duration};

/// Largest answer: the errors of a file of 10,000 routes.
const LARGEST: usize = 16 << 20;

/// Where the running gateway is asked.
#[derive(clap::Args)]
pub(super) struct Where {
    #[command(flatten)]
    config: ConfigArgument,
    /// Address of the admin listener. Default: that of the configuration
    #[arg(long, value_name = "HOST:PORT")]
    admin: Option<String>,
    /// How long to wait, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    timeout: u64,
}

impl Where {
    /// Ask, and wait for the answer. The configuration says where, and which token is needed.
    pub(super) fn ask(&self, method: Method, path: &str) -> Result<Answer, StartError> {
        let loaded = self.config.source().load()?;
        let url = self.url(&loaded.config, path)?;
        let mut headers = HeaderMap::new();
        if let Some(token) = &loaded.config.admin.token {
            let value = HeaderValue::try_from(format!("Bearer {}", token.expose())).map_err(io::Error::other)?;
            headers.insert(header::AUTHORIZATION, value);
        }
        let client = Client::build(None).map_err(io::Error::other)?;
        let ask = Ask { method, url: &url, headers, deadline: Duration::from_secs(self.timeout), largest: LARGEST };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let answer = runtime.block_on(client.ask(ask));
        runtime.shutdown_background();
        answer.map_err(|error| unreachable(&url, error).into())
    }

    fn url(&self, config: &Config, path: &str) -> Result<Url, io::Error> {
        if self.admin.is_none() && !config.admin.enabled {
            return Err(io::Error::other("admin.enabled is false: nobody can be asked; signals still work"));
        }
        // Whoever listens on every address is asked on this machine.
        let host = match config.admin.address.host.as_str() {
            "0.0.0.0" | "" => "127.0.0.1".to_owned(),
            "::" => "[::1]".to_owned(),
            host if host.contains(':') => format!("[{host}]"),
            host => host.to_owned(),
        };
        let place = self.admin.clone().unwrap_or_else(|| format!("{host}:{}", config.admin.address.port));
        Url::parse(&format!("http://{place}{path}")).map_err(io::Error::other)
    }
}

fn unreachable(url: &Url, error: NetError) -> io::Error {
    io::Error::other(format!("{url}: {error}; is the gateway running, and admin.address right? --admin names another"))
}
