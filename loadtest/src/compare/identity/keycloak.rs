//! Keycloak in production mode on the MySQL that `identity-admin` has, in a database of its own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hyper::Method;
use hyper::header::{AUTHORIZATION, HeaderValue};
use serde_json::{Value, json};
use sqlx::SqlSafeStr as _;
use tokio::process::Command;

use super::super::peer::Peer;
use crate::bench::identity::bed::ask;
use crate::bench::identity::tokens::form;
use crate::check::link::{Ask, Endpoint};

use crate::stop::Stop;
use crate::{mysql, port, scrape};

/// Its first start makes its tables.
const READY_WITHIN: Duration = Duration::from_secs(240);
/// For what is asked beside the load.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The realm that is written to.
const REALM: &str = "bench";
/// The first administrator, for whom it is bootstrapped.
const ADMIN: [&str; 2] = ["admin", "admin"];
/// Clients that ask for tokens.
const CLIENTS: usize = 20;
const FORM: &str = "application/x-www-form-urlencoded";
const TOKENS: &str = "/realms/bench/protocol/openid-connect/token";
/// A database and a user of its own; nothing but loopback gets in.
const PLACE: [&str; 3] = [
    "CREATE DATABASE keycloak CHARACTER SET utf8mb4",
    "CREATE USER 'keycloak'@'127.0.0.1' IDENTIFIED WITH mysql_native_password BY 'keycloak'",
    "GRANT ALL ON keycloak.* TO 'keycloak'@'127.0.0.1'",
];

/// A running Keycloak.
pub(super) struct Keycloak {
    pub(super) peer: Peer,
    pub(super) endpoint: Endpoint,
    client: reqwest::Client,
    url: String,
}

impl Keycloak {
    /// Makes its database beside that of `dsn`, starts it, and waits until it answers.
    ///
    /// # Errors
    /// When MySQL refuses, or it does not start.
    pub(super) async fn start(folder: &Path, dsn: &str, stop: &Stop) -> anyhow::Result<Self> {
        let pool = mysql::pool(dsn, 1).await?;
        for statement in PLACE {
            sqlx::raw_sql(statement.into_sql_str()).execute(&pool).await?;
        }
        pool.close().await;
        let address = port::free()?;
        let url = format!("http://{address}");
        let mut command = Command::new("sh");
        command.arg(folder.join("bin/kc.sh")).args(["start", "--optimized"]);
        command.envs(environment(&jdbc(dsn).context("no address in the DSN")?, &url));
        command.env("KC_HTTP_PORT", address.port().to_string());
        let mut peer = Peer::start("keycloak", command)?;
        let client = scrape::client(TIMEOUT)?;
        let ready = format!("{url}/realms/master/.well-known/openid-configuration");
        let answers = async || {
            let answer = client.get(&ready).send().await;
            answer.is_ok_and(|answer| answer.status().is_success())
        };
        peer.until(stop, READY_WITHIN, answers).await?;
        let endpoint = Endpoint::new(&url, None, false)?;
        Ok(Self { peer, endpoint, client, url })
    }

    /// Makes the realm and its clients; their credentials, as HTTP Basic has them.
    ///
    /// # Errors
    /// When it refuses.
    pub(super) async fn prepare(&self) -> anyhow::Result<Arc<Vec<String>>> {
        // Otherwise the administrator's tokens end after a minute, within a turn.
        let hour = json!({"accessTokenLifespan": 3600});
        self.send(Method::PUT, "/admin/realms/master", &hour).await?;
        let realm = json!({"realm": REALM, "enabled": true});
        self.send(Method::POST, "/admin/realms", &realm).await?;
        let mut clients = Vec::new();
        for number in 0..CLIENTS {
            let (id, secret) = (format!("service-{number}"), uuid::Uuid::new_v4().to_string());
            let client = json!({
                "clientId": id, "secret": secret, "enabled": true, "publicClient": false,
                "serviceAccountsEnabled": true, "standardFlowEnabled": false,
                "clientAuthenticatorType": "client-secret",
            });
            self.send(Method::POST, &format!("/admin/realms/{REALM}/clients"), &client).await?;
            clients.push(format!("Basic {}", BASE64.encode(format!("{id}:{secret}"))));
        }
        Ok(Arc::new(clients))
    }

    /// A fresh token of the administrator.
    ///
    /// # Errors
    /// When it refuses.
    pub(super) async fn token(&self) -> anyhow::Result<String> {
        let [name, password] = ADMIN;
        let url = format!("{}/realms/master/protocol/openid-connect/token", self.url);
        let body =
            format!("grant_type=password&client_id=admin-cli&username={name}&password={password}");
        let request = self.client.post(url).header("content-type", FORM).body(body);
        let answer = request.send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "Keycloak gives no token: {status} {text}");
        let granted: Value = serde_json::from_str(&text)?;
        granted["access_token"].as_str().map(str::to_owned).context("a grant without a token")
    }

    async fn send(&self, method: Method, path: &str, body: &Value) -> anyhow::Result<()> {
        let request = self.client.request(method, format!("{}{path}", self.url));
        let answer = request.bearer_auth(self.token().await?).json(body).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "Keycloak, {path}: {status} {text}");
        Ok(())
    }
}

/// The creation of a user by the administrator whose token that is.
pub(super) fn create(endpoint: &Endpoint, bearer: &HeaderValue) -> Ask {
    let name = uuid::Uuid::new_v4();
    let user = json!({"username": name, "email": format!("{name}@bench.example"), "enabled": true});
    let path = format!("/admin/realms/{REALM}/users");
    let mut ask = ask(endpoint, Method::POST, &path, user.to_string());
    ask.headers_mut().insert(AUTHORIZATION, bearer.clone());
    ask
}

/// A client_credentials grant.
pub(super) fn grant(endpoint: &Endpoint, client: &str) -> Ask {
    let mut ask = form(endpoint, TOKENS, "grant_type=client_credentials".to_owned());
    if let Ok(client) = client.parse() {
        ask.headers_mut().insert(AUTHORIZATION, client);
    }
    ask
}

/// Production mode, with what its documentation asks for behind no proxy.
fn environment(jdbc: &str, url: &str) -> [(&'static str, String); 11] {
    let [name, password] = ADMIN;
    [
        ("KC_DB", "mysql".to_owned()),
        ("KC_DB_URL", jdbc.to_owned()),
        ("KC_DB_USERNAME", "keycloak".to_owned()),
        ("KC_DB_PASSWORD", "keycloak".to_owned()),
        ("KC_CACHE", "local".to_owned()),
        ("KC_HTTP_ENABLED", "true".to_owned()),
        ("KC_HTTP_HOST", "127.0.0.1".to_owned()),
        ("KC_HOSTNAME", url.to_owned()),
        ("KC_LOG_LEVEL", "warn".to_owned()),
        ("KC_BOOTSTRAP_ADMIN_USERNAME", name.to_owned()),
        ("KC_BOOTSTRAP_ADMIN_PASSWORD", password.to_owned()),
    ]
}

/// Keycloak's database on the server of a `mysql://` DSN, without TLS, as all others have it here.
fn jdbc(dsn: &str) -> Option<String> {
    let (_, rest) = dsn.split_once("://")?;
    let authority = rest.split('/').next()?;
    let address = authority.rsplit_once('@').map_or(authority, |(_, address)| address);
    address.contains(':').then(|| format!("jdbc:mysql://{address}/keycloak?sslMode=DISABLED"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_database_is_on_the_same_server() {
        let expected = "jdbc:mysql://127.0.0.1:3306/keycloak?sslMode=DISABLED";
        assert_eq!(jdbc("mysql://root@127.0.0.1:3306/bench").as_deref(), Some(expected));
        assert_eq!(jdbc("mysql://root:x@127.0.0.1:3306/").as_deref(), Some(expected));
        assert_eq!(jdbc("127.0.0.1:3306"), None);
    }

    #[test]
    fn requests_carry_who_asks() {
        let endpoint = Endpoint::new("http://127.0.0.1:8080", None, false).unwrap();
        let bearer = HeaderValue::from_static("Bearer t");
        let creation = create(&endpoint, &bearer);
        assert_eq!(creation.headers()[AUTHORIZATION], "Bearer t");
        assert_eq!(creation.uri().path(), "/admin/realms/bench/users");
        let grant = grant(&endpoint, "Basic abc");
        assert_eq!(grant.headers()["content-type"], FORM);
        assert_eq!(grant.uri().path(), TOKENS);
        assert_eq!(grant.headers()[AUTHORIZATION], "Basic abc");
    }
}
