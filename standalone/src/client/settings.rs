//! Where to ask, as whom, and how to answer: from options, the environment, the profile and defaults, in this order.

use std::time::Duration;

use contracts::TenantId;
use reqwest::Url;

use super::api::{Bases, Service};
use super::credential::Credential;
use super::error::ClientError;
use super::global::Global;
use super::input;
use super::profile::{DEFAULT, Profile, Profiles};
use super::secret::Secret;

/// The environment: a variable by its name.
pub(crate) type Env<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// Where `standalone` listens.
const SERVER: &str = "http://127.0.0.1:8100";
const TIMEOUT: Duration = Duration::from_secs(30);

/// As a command works with them.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Where the services are.
    pub(crate) bases: Bases,
    /// Whose things, if that is said anywhere.
    pub(crate) tenant: Option<String>,
    /// What proves who one is.
    pub(crate) proof: Proof,
    /// The name of the profile.
    pub(crate) profile: String,
    /// The profiles that there are, when one was named that is none of them.
    pub(crate) others: Option<Vec<String>>,
    /// How long a request may take.
    pub(crate) timeout: Duration,
    /// Whether requests are told of.
    pub(crate) verbose: bool,
}

/// What proves who one is.
#[derive(Debug, Clone)]
pub(crate) enum Proof {
    /// Nothing does.
    None,
    /// A credential of this command, sent as it is.
    Given(Secret),
    /// That of the profile, and where it may go.
    Kept(Box<Credential>, Bases),
}

impl Settings {
    /// Settles all of it.
    ///
    /// # Errors
    /// What of it cannot be, by its name.
    pub(crate) fn resolve(
        global: &Global,
        env: &Env<'_>,
        profiles: &Profiles,
    ) -> Result<Self, ClientError> {
        let set = |name: &str| env(name).filter(|value| !value.is_empty());
        let asked = global.profile.clone().or_else(|| set("TRIAD_PROFILE"));
        let current = || profiles.current.clone().unwrap_or_else(|| DEFAULT.to_owned());
        let name = asked.unwrap_or_else(current);
        let kept = profiles.profiles.get(&name);
        let is_unknown = kept.is_none() && name != DEFAULT;
        let others = is_unknown.then(|| profiles.profiles.keys().cloned().collect());
        let options = Urls {
            all: global.server.clone(),
            each: [global.identity_url.clone(), global.authz_url.clone(), global.audit_url.clone()],
        };
        let variables = Urls {
            all: set("TRIAD_SERVER"),
            each: ["TRIAD_IDENTITY_URL", "TRIAD_AUTHZ_URL", "TRIAD_AUDIT_URL"].map(set),
        };
        let own = kept.map(Urls::of).unwrap_or_default();
        let bases = bases(&[&options, &variables, &own])?;
        let tenant = global.tenant.clone().or_else(|| set("TRIAD_TENANT"));
        let tenant = tenant.or_else(|| kept.and_then(|profile| profile.tenant.clone()));
        if let Some(tenant) = &tenant {
            TenantId::parse(tenant)
                .map_err(|error| ClientError::Usage(format!("--tenant {tenant}: {error}")))?;
        }
        let given = match (&global.token, &global.token_file) {
            (Some(token), _) => Some(token.clone()),
            (None, Some(file)) => Some(Secret::from(input::secret(file)?)),
            (None, None) => set("TRIAD_TOKEN").map(Secret::from),
        };
        let credential = kept.and_then(|profile| profile.credential.clone());
        let proof = match (given, credential) {
            (Some(token), _) => Proof::Given(token),
            (None, Some(credential)) => Proof::Kept(Box::new(credential), self::bases(&[&own])?),
            (None, None) => Proof::None,
        };
        Ok(Self {
            bases,
            tenant,
            proof,
            profile: name,
            others,
            timeout: global.timeout.unwrap_or(TIMEOUT),
            verbose: global.verbose,
        })
    }

    /// Refuses a profile that there is not: what it would have said is not what the defaults say.
    ///
    /// # Errors
    /// The profiles that there are.
    pub(crate) fn check_profile(&self) -> Result<(), ClientError> {
        let Some(others) = &self.others else { return Ok(()) };
        let others = if others.is_empty() { "there is none".to_owned() } else { others.join(", ") };
        let name = &self.profile;
        Err(ClientError::Usage(format!(
            "no profile {name} (known: {others}); `triad login --profile {name}` makes it"
        )))
    }

    /// The tenant.
    ///
    /// # Errors
    /// How to say which, when nothing does.
    pub(crate) fn tenant(&self) -> Result<&str, ClientError> {
        let unsaid =
            "of which tenant? --tenant or TRIAD_TENANT says it, and `triad login` remembers yours";
        self.tenant.as_deref().ok_or_else(|| ClientError::Usage(unsaid.to_owned()))
    }
}

/// URLs from one source.
#[derive(Default)]
struct Urls {
    all: Option<String>,
    /// In the order of [`Service::ALL`].
    each: [Option<String>; 3],
}

impl Urls {
    fn of(profile: &Profile) -> Self {
        let each =
            [&profile.identity_url, &profile.authz_url, &profile.audit_url].map(Option::clone);
        Self { all: profile.server.clone(), each }
    }
}

/// The first source that names a service, alone or with the others, says where it is.
fn bases(sources: &[&Urls]) -> Result<Bases, ClientError> {
    let of = |service: Service| {
        let named = |urls: &&Urls| urls.each[service as usize].clone().or_else(|| urls.all.clone());
        url(&sources.iter().find_map(named).unwrap_or_else(|| SERVER.to_owned()))
    };
    let [identity, authz, audit] = Service::ALL.map(of);
    Ok(Bases([identity?, authz?, audit?]))
}

fn url(text: &str) -> Result<Url, ClientError> {
    let refuse = |why: &str| ClientError::Usage(format!("{text}: {why}"));
    // `localhost:8100` would be a URL of the scheme `localhost`.
    let whole = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url: Url = whole.parse().map_err(|error| refuse(&format!("is no URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refuse("is no http or https URL"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("holds a password; give a credential with --token-file"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refuse("is the URL of a page; name the server"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn resolve(
        global: &Global,
        vars: &[(&str, &str)],
        kept: &Profile,
    ) -> Result<Settings, ClientError> {
        let vars: BTreeMap<_, _> = vars.iter().copied().collect();
        let profiles = BTreeMap::from([(DEFAULT.to_owned(), kept.clone())]);
        let profiles = Profiles { current: None, profiles };
        Settings::resolve(
            global,
            &|name| vars.get(name).map(|value| (*value).to_owned()),
            &profiles,
        )
    }

    fn where_(settings: &Settings) -> [String; 3] {
        Service::ALL.map(|service| settings.bases.of(service).to_string())
    }

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn options_go_before_the_environment_the_profile_and_the_default() {
        let nothing = (Global::default(), Profile::default());
        let settings = resolve(&nothing.0, &[], &nothing.1).unwrap();
        assert_eq!(where_(&settings), ["http://127.0.0.1:8100/"; 3]);
        assert!(settings.tenant.is_none() && matches!(settings.proof, Proof::None));
        assert!(settings.tenant().unwrap_err().to_string().contains("--tenant"));

        let kept = Profile {
            server: text("http://kept:1"),
            audit_url: text("http://kept-audit:1"),
            tenant: text("kept"),
            credential: Some(Credential::key("k".to_owned())),
            ..Profile::default()
        };
        let settings = resolve(&nothing.0, &[], &kept).unwrap();
        assert_eq!(where_(&settings), ["http://kept:1/", "http://kept:1/", "http://kept-audit:1/"]);
        assert_eq!(settings.tenant().unwrap(), "kept");
        assert!(matches!(settings.proof, Proof::Kept(..)));

        let vars = [
            ("TRIAD_SERVER", "env:2"),
            ("TRIAD_AUTHZ_URL", "https://env-authz:2"),
            ("TRIAD_TENANT", "env"),
            ("TRIAD_TOKEN", "env-token"),
        ];
        let settings = resolve(&nothing.0, &vars, &kept).unwrap();
        assert_eq!(where_(&settings), ["http://env:2/", "https://env-authz:2/", "http://env:2/"]);
        assert_eq!(settings.tenant().unwrap(), "env");
        assert!(matches!(settings.proof, Proof::Given(token) if token.reveal() == "env-token"));

        let given = Global {
            server: text("http://opt:3"),
            identity_url: text("http://opt-identity:3"),
            tenant: text("opt"),
            token: text("opt-token").map(Secret::from),
            ..Global::default()
        };
        let settings = resolve(&given, &vars, &kept).unwrap();
        assert_eq!(where_(&settings), ["http://opt-identity:3/", "http://opt:3/", "http://opt:3/"]);
        assert_eq!(settings.tenant().unwrap(), "opt");
        assert!(matches!(settings.proof, Proof::Given(token) if token.reveal() == "opt-token"));
    }

    #[test]
    fn a_token_file_goes_before_a_token_of_the_environment() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "secret\n").unwrap();
        let global = Global { token_file: Some(file.path().to_owned()), ..Global::default() };
        let settings = resolve(&global, &[("TRIAD_TOKEN", "x")], &Profile::default()).unwrap();
        assert!(matches!(settings.proof, Proof::Given(token) if token.reveal() == "secret"));
    }

    #[test]
    fn an_empty_variable_says_nothing() {
        let settings = resolve(&Global::default(), &[("TRIAD_SERVER", "")], &Profile::default());
        assert_eq!(where_(&settings.unwrap()), ["http://127.0.0.1:8100/"; 3]);
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for (server, why) in [
            ("ftp://x", "http or https"),
            ("http://u:p@x", "--token-file"),
            ("http://x/?a=b", "name the server"),
            ("http://", "no URL"),
        ] {
            let global = Global { server: text(server), ..Global::default() };
            let error = resolve(&global, &[], &Profile::default()).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains(server), "{error}");
        }
        let global = Global { tenant: text("ACME"), ..Global::default() };
        let error = resolve(&global, &[], &Profile::default()).unwrap_err().to_string();
        assert!(error.contains("--tenant ACME"), "{error}");
    }

    #[test]
    fn the_profile_of_that_name_is_used() {
        let tenant = |name: &str| Profile { tenant: text(name), ..Profile::default() };
        let profiles = [("default", "d"), ("a", "in-a"), ("b", "in-b")];
        let profiles = profiles.map(|(name, of)| (name.to_owned(), tenant(of)));
        let profiles = Profiles { current: text("b"), profiles: BTreeMap::from(profiles) };
        let none = |_: &str| None;
        let by = |global: &Global, env: &Env<'_>| {
            Settings::resolve(global, env, &profiles).unwrap().tenant
        };
        assert_eq!(by(&Global::default(), &none).as_deref(), Some("in-b"));
        let env = |name: &str| (name == "TRIAD_PROFILE").then(|| "a".to_owned());
        assert_eq!(by(&Global::default(), &env).as_deref(), Some("in-a"));
        let global = Global { profile: text("default"), ..Global::default() };
        assert_eq!(by(&global, &env).as_deref(), Some("d"));
        let global = Global { profile: text("c"), ..Global::default() };
        let error = Settings::resolve(&global, &none, &profiles).unwrap().check_profile();
        assert!(error.unwrap_err().to_string().contains("(known: a, b, default)"));
    }
}
