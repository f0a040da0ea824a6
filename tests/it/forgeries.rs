//! Tokens that nobody issued, or for somebody else: they open no route of any service.

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::edge::Edges;
use crate::identity::Identities;
use crate::issuer::Issuer;
use crate::world::World;

const SCOPES: &str = "audit:write audit:read authz:check authz:write identity:read identity:write \
     token:introspect tenant:admin";
const YEAR_2100: u64 = 4_102_444_800;

/// Where a service answers, and what its document says of it.
struct Served {
    client: reqwest::Client,
    base: String,
    document: Value,
}

impl Served {
    /// Every operation that wants a bearer token, about a tenant; each with whether its path names the tenant.
    fn operations(&self, tenant: &str) -> Vec<(Method, String, bool)> {
        let is_guarded = |operation: &Value| {
            let ways = operation["security"].as_array();
            ways.is_some_and(|ways| {
                !ways.is_empty() && ways.iter().all(|way| way.get("bearer").is_some())
            })
        };
        let mut all = Vec::new();
        for (path, item) in self.document["paths"].as_object().into_iter().flatten() {
            for (method, operation) in item.as_object().into_iter().flatten() {
                let Ok(method) = Method::from_bytes(method.to_uppercase().as_bytes()) else {
                    continue;
                };
                if is_guarded(operation) {
                    all.push((method, filled(path, tenant), path.contains("{tenant}")));
                }
            }
        }
        all
    }

    async fn ask(&self, bearer: &str, (method, path): (&Method, &str)) -> Result<StatusCode> {
        let request = self.client.request(method.clone(), format!("{}{path}", self.base));
        let request =
            request.header("authorization", bearer).header("content-type", "application/json");
        Ok(request.body("{}").send().await?.status())
    }
}

/// A path whose names are filled in: the tenant's, and of everything else one that nothing has.
fn filled(path: &str, tenant: &str) -> String {
    let part = |part: &str| match part {
        "{tenant}" => tenant.to_owned(),
        part if part.starts_with('{') => "x".to_owned(),
        part => part.to_owned(),
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

fn text(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// Tokens by what is wrong with each.
fn forged(issuer: &Issuer, tenant: &str) -> Result<Vec<(&'static str, String)>> {
    let claims = |replaced: Value| {
        let mut claims = json!({"aud": "triad", "sub": "user:u", "tid": tenant, "scope": SCOPES, "exp": YEAR_2100});
        if let (Value::Object(claims), Value::Object(replaced)) = (&mut claims, replaced) {
            claims.extend(replaced);
        }
        claims
    };
    let header = |algorithm: Algorithm| Header {
        alg: algorithm,
        kid: Some("k".to_owned()),
        typ: Some("at+jwt".to_owned()),
        ..Header::default()
    };
    let good = issuer.bearer(tenant, "user:u", SCOPES)?;
    let good = good.strip_prefix("Bearer ").context("no token")?;
    let (head, rest) = good.split_once('.').context("no token")?;
    let (_, signature) = rest.split_once('.').context("no token")?;
    let none = json!({"alg": "none", "kid": "k", "typ": "at+jwt"});
    let public = std::fs::read(issuer.keys())?;
    let set: Value = serde_json::from_slice(&public)?;
    let x = URL_SAFE_NO_PAD.decode(set["keys"][0]["x"].as_str().context("no key")?)?;
    let confused = |secret: &[u8]| {
        encode(&header(Algorithm::HS256), &claims(json!({})), &EncodingKey::from_secret(secret))
    };
    let own = issuer.signed(&header(Algorithm::EdDSA), &claims(json!({"exp": 1_000_000_000})))?;
    let elsewhere =
        issuer.signed(&header(Algorithm::EdDSA), &claims(json!({"aud": "elsewhere"})))?;
    let early = issuer.signed(&header(Algorithm::EdDSA), &claims(json!({"nbf": YEAR_2100 - 1})))?;
    let typeless = Header { typ: Some("JWT".to_owned()), ..header(Algorithm::EdDSA) };
    let unknown = Header { kid: Some("other".to_owned()), ..header(Algorithm::EdDSA) };
    let other = Issuer::of_seed(9)?.bearer(tenant, "user:u", SCOPES)?;
    Ok(vec![
        ("no algorithm", format!("{}.{}.", text(&none), text(&claims(json!({}))))),
        ("no signature", format!("{head}.{}.", text(&claims(json!({}))))),
        (
            "altered",
            format!("{head}.{}.{signature}", text(&claims(json!({"scope": "system:admin"})))),
        ),
        ("the public key as a secret", confused(&x)?),
        ("the key set as a secret", confused(&public)?),
        ("another key", other.trim_start_matches("Bearer ").to_owned()),
        ("a key that is not known", issuer.signed(&unknown, &claims(json!({})))?),
        ("expired", own),
        ("for others", elsewhere),
        ("not yet", early),
        ("no access token", issuer.signed(&typeless, &claims(json!({})))?),
        ("no token", "x".to_owned()),
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_in_by_a_forged_token_or_into_another_tenant() -> Result<()> {
    let issuer = Issuer::new()?;
    let keys = issuer.keys();
    let guard = [("AUTH__MODE", "jwt"), ("AUTH__JWKS_FILE", keys.as_str())];
    let world = World::new("forged", &[]).await?.with(&guard)?;
    let (edges, identities) = (Edges::new(&guard).await?, Identities::new(&guard).await?);
    let (ingest, edge) = (world.ingest().await?, edges.start().await?);
    let identity = identities.start().await?;
    let t = edges.tenant("forged");
    let ops = issuer.bearer("_system", "service_account:ops", "system:admin")?;
    let tenant = json!({"id": t, "name": t, "administrator": {"email": "a@b.c"}});
    let headers = [("authorization", ops.as_str())];
    identity.ask(Method::POST, "/v1/tenants", &headers, tenant).await?.must(201)?;
    let client = reqwest::Client::new();
    let of = async |base: String, document: &str| -> Result<Served> {
        let document = client.get(format!("{base}{document}")).send().await?.json().await?;
        Ok(Served { client: client.clone(), base, document })
    };
    let all = [
        ("ingest", of(ingest.url(""), "/openapi/ingest.json").await?, 4),
        ("authz-edge", of(edge.url(""), "/openapi/authz-edge.json").await?, 25),
        ("identity-admin", of(identity.url(""), "/openapi/identity-admin.json").await?, 55),
    ];
    let (forged, other) = (forged(&issuer, &t)?, issuer.bearer("other", "user:u", SCOPES)?);
    for (name, served, least) in &all {
        let operations = served.operations(&t);
        ensure!(operations.len() >= *least, "{name}: {}", operations.len());
        for (method, path, names_tenant) in &operations {
            for (why, token) in &forged {
                let status = served.ask(&format!("Bearer {token}"), (method, path)).await?;
                ensure!(
                    status == StatusCode::UNAUTHORIZED,
                    "{name} {method} {path}, {why}: {status}"
                );
            }
            if *names_tenant {
                let status = served.ask(&other, (method, path)).await?;
                ensure!(
                    status == StatusCode::NOT_FOUND,
                    "{name} {method} {path}, another's: {status}"
                );
            }
        }
    }
    edge.stop().await?;
    identity.stop().await?;
    ingest.stop().await
}
