use super::reply::{Identity, Problem, parse};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::StatusCode,
    routing::{get, post},
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{collections::VecDeque, fs::File, io, io::Read, sync::Arc, time::Duration};

/// Most refresh tokens that are remembered; the oldest goes first.
const MOST: usize = 1_000;

/// What an access token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Who it speaks for.
    pub sub: String,
    /// The name of the account.
    pub username: String,
    /// What the account is.
    pub role: String,
    /// What the account may do.
    pub permissions: Vec<String>,
    /// How long the token is valid.
    pub ttl: Duration,
}

impl Claims {
    /// Those of the demo's administrator.
    pub fn admin(ttl: Duration) -> Self {
        ADMIN.claims(ttl)
    }
}

/// Signs claims into a token that the gateway accepts, or says why it cannot.
pub type Mint = Arc<dyn Fn(&Claims) -> Result<String, String> + Send + Sync>;

#[derive(Debug, PartialEq, Eq)]
struct User {
    id: &'static str,
    username: &'static str,
    password: &'static str,
    name: &'static str,
    role: &'static str,
    permissions: &'static [&'static str],
}

const ADMIN: User = User {
    id: "1",
    username: "admin",
    password: "admin",
    name: "홍길동",
    role: "admin",
    permissions: &["members:read", "members:write", "notices:read", "notices:write"],
};
const KIM: User = User {
    id: "2",
    username: "kim",
    password: "kim",
    name: "김하늘",
    role: "member",
    permissions: &["members:read", "notices:read"],
};
static USERS: [User; 2] = [ADMIN, KIM];

impl User {
    fn claims(&self, ttl: Duration) -> Claims {
        Claims {
            sub: self.id.to_owned(),
            username: self.username.to_owned(),
            role: self.role.to_owned(),
            permissions: self.permissions.iter().map(|name| (*name).to_owned()).collect(),
            ttl,
        }
    }
}

/// What the handlers share. The lock is held for one look or one change, never while somebody waits.
struct Desk {
    mint: Mint,
    lifetime: Duration,
    /// Refresh tokens that were not used yet, the oldest first.
    refresh: Mutex<VecDeque<(String, &'static User)>>,
}

/// The access token is the first field: a shell finds it with `cut`.
#[derive(Serialize)]
struct Tokens {
    access_token: String,
    refresh_token: String,
    token_type: &'static str,
    expires_in: u64,
}

#[derive(Deserialize)]
struct Login {
    username: String,
    password: String,
}

#[derive(Deserialize)]
struct Refresh {
    refresh_token: String,
}

type Shared = State<Arc<Desk>>;
type Body = Result<Bytes, BytesRejection>;

pub(super) fn router(mint: Mint, lifetime: Duration) -> Router {
    let desk = Desk { mint, lifetime, refresh: Mutex::default() };
    Router::new()
        .route("/api/auth/login", post(login))
        .route("/api/auth/refresh", post(refresh))
        .route("/api/auth/logout", post(logout))
        .route("/api/auth/me", get(me))
        .with_state(Arc::new(desk))
}

impl Desk {
    fn issue(&self, user: &'static User) -> Result<Json<Tokens>, Problem> {
        let broken = |reason| Problem(StatusCode::INTERNAL_SERVER_ERROR, reason);
        let access_token = (self.mint)(&user.claims(self.lifetime)).map_err(broken)?;
        let refresh_token = opaque().map_err(|error| broken(error.to_string()))?;
        let mut unused = self.refresh.lock();
        if unused.len() >= MOST {
            unused.pop_front();
        }
        unused.push_back((refresh_token.clone(), user));
        Ok(Json(Tokens { access_token, refresh_token, token_type: "bearer", expires_in: self.lifetime.as_secs() }))
    }

    /// Whose `token` is; it is worth nothing afterwards.
    fn redeem(&self, token: &str) -> Option<&'static User> {
        let mut unused = self.refresh.lock();
        let place = unused.iter().position(|(known, _)| known == token)?;
        unused.remove(place).map(|(_, user)| user)
    }
}

async fn login(State(desk): Shared, body: Body) -> Result<Json<Tokens>, Problem> {
    let sent: Login = parse(body)?;
    let known = USERS.iter().find(|user| user.username == sent.username && user.password == sent.password);
    let detail = "wrong username or password; the demo knows admin/admin and kim/kim";
    desk.issue(known.ok_or_else(|| Problem(StatusCode::UNAUTHORIZED, detail.to_owned()))?)
}

async fn refresh(State(desk): Shared, body: Body) -> Result<Json<Tokens>, Problem> {
    let sent: Refresh = parse(body)?;
    let user = desk.redeem(&sent.refresh_token);
    let detail = "the refresh token is unknown or was used already";
    desk.issue(user.ok_or_else(|| Problem(StatusCode::UNAUTHORIZED, detail.to_owned()))?)
}

/// Ends every refresh token of the caller. Access tokens end by themselves: nobody asks this service about them.
async fn logout(State(desk): Shared, identity: Identity) -> Result<StatusCode, Problem> {
    let id = known(&identity)?;
    desk.refresh.lock().retain(|(_, user)| user.id != id);
    Ok(StatusCode::NO_CONTENT)
}

/// What the gateway says about the caller, and the name that this service knows.
async fn me(identity: Identity) -> Result<Json<Value>, Problem> {
    let id = known(&identity)?;
    let name = USERS.iter().find(|user| user.id == id).map(|user| user.name);
    Ok(Json(json!({
        "user_id": id,
        "username": identity.username,
        "name": name,
        "role": identity.role,
        "permissions": identity.permissions,
    })))
}

fn known(identity: &Identity) -> Result<&str, Problem> {
    let nobody = || Problem(StatusCode::UNAUTHORIZED, "no X-User-ID arrived: come through the gateway".to_owned());
    identity.user_id.as_deref().ok_or_else(nobody)
}

/// 24 bytes that nobody can guess, in hexadecimal. From the system: `fastrand` can be guessed.
fn opaque() -> io::Result<String> {
    let mut bytes = [0; 24];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
