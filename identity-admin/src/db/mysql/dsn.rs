//! Where MySQL is: in the form of Go's driver, `user:password@tcp(host:port)/db?parseTime=true`, or as a
//! URL, `mysql://user:password@host:port/db`.

use std::fmt;
use std::str::FromStr as _;

use service_kit::tls::ClientTls;
use sqlx::ConnectOptions as _;
use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};

/// MySQL's own port.
const PORT: u16 = 3306;

/// Where a database is and who asks. Shown without its password.
#[derive(Clone)]
pub struct Dsn(MySqlConnectOptions);

impl fmt::Debug for Dsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Dsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let database = self.0.get_database().unwrap_or_default();
        match self.0.get_socket() {
            Some(path) => write!(f, "mysql unix({})/{database}", path.display()),
            None => write!(f, "mysql tcp({}:{})/{database}", self.0.get_host(), self.0.get_port()),
        }
    }
}

impl Dsn {
    /// Reads either form, without TLS: see [`Dsn::secured`].
    ///
    /// # Errors
    /// What is wrong with it, without repeating any of it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let options = if text.starts_with("mysql://") {
            MySqlConnectOptions::from_str(text).map_err(|_| "is no mysql:// URL".to_owned())?
        } else {
            go_form(text)?
        };
        if options.get_database().is_none_or(str::is_empty) {
            return Err("names no database".to_owned());
        }
        // Slow statements are seen in metrics; their text in a log would say nothing more.
        Ok(Self(options.ssl_mode(MySqlSslMode::Disabled).disable_statement_logging()))
    }

    /// Over TLS, if it is configured: the server's certificate must name the host, and be signed by `ca` or by whom
    /// the system trusts.
    #[must_use]
    pub fn secured(self, tls: &ClientTls) -> Self {
        let Some(ca) = &tls.ca else { return self };
        let options = self.0.ssl_mode(MySqlSslMode::VerifyIdentity).ssl_ca(ca);
        Self(match (&tls.certificate, &tls.key) {
            (Some(certificate), Some(key)) => {
                options.ssl_client_cert(certificate).ssl_client_key(key)
            }
            _ => options,
        })
    }

    /// The name of the database.
    #[must_use]
    pub fn database(&self) -> &str {
        self.0.get_database().unwrap_or_default()
    }

    pub(in crate::db) fn connect_options(&self) -> MySqlConnectOptions {
        self.0.clone()
    }
}

/// `[user[:password]@][net[(address)]]/database[?parameters]`, as go-sql-driver reads it: the last `/`, and
/// before it the last `@`, so that a password may hold both.
fn go_form(text: &str) -> Result<MySqlConnectOptions, String> {
    let (head, parameters) = match text.rsplit_once('/') {
        Some((before, after)) => (before, after),
        None => return Err("has no /database".to_owned()),
    };
    let (database, parameters) = parameters.split_once('?').unwrap_or((parameters, ""));
    let (who, at) = head.rsplit_once('@').unwrap_or(("", head));
    let (user, password) = who.split_once(':').unwrap_or((who, ""));
    let mut options = MySqlConnectOptions::new().username(user).database(database);
    if !password.is_empty() {
        options = options.password(password);
    }
    check_parameters(parameters)?;
    address(options, at)
}

fn address(options: MySqlConnectOptions, at: &str) -> Result<MySqlConnectOptions, String> {
    let (net, rest) = at.split_once('(').unwrap_or((at, ")"));
    let inside = rest.strip_suffix(')').ok_or("has an address without its )")?;
    match (net, inside) {
        ("" | "tcp", "") => Ok(options.host("127.0.0.1").port(PORT)),
        ("tcp", address) => {
            let (host, port) = match address.rsplit_once(':') {
                Some((host, port)) if !port.ends_with(']') => (host, port),
                _ => (address, "3306"),
            };
            let port = port.parse::<u16>().map_err(|_| "has a port that is none".to_owned())?;
            Ok(options.host(host.trim_matches(['[', ']'])).port(port))
        }
        ("unix", path) if !path.is_empty() => Ok(options.socket(path)),
        _ => Err("is reached by neither tcp(…) nor unix(…)".to_owned()),
    }
}

/// Parameters of Go's driver that say what is done here anyway are accepted, others refused by name: they
/// would be promises that nobody keeps.
fn check_parameters(parameters: &str) -> Result<(), String> {
    for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let kept = match name {
            "parseTime" => true,
            "loc" => value == "UTC",
            "charset" => value.starts_with("utf8mb4"),
            "collation" => value.starts_with("utf8mb4_"),
            "tls" if value != "false" => {
                return Err("has the parameter tls, which is the section mysql.tls here".to_owned());
            }
            "tls" => true,
            _ => false,
        };
        if !kept {
            return Err(format!("has the parameter {name}, whose value is not supported here"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str) -> String {
        Dsn::parse(text).map_or_else(|error| error, |dsn| dsn.to_string())
    }

    #[test]
    fn the_seed_s_form_and_urls_name_the_same_place() {
        let seed = "iam_user:password@tcp(mysql-host:3306)/iam_db?parseTime=true";
        assert_eq!(shown(seed), "mysql tcp(mysql-host:3306)/iam_db");
        assert_eq!(shown("mysql://iam_user:p%40ss@mysql-host/iam_db"), shown(seed));
        assert_eq!(shown("u@tcp/d"), "mysql tcp(127.0.0.1:3306)/d");
        assert_eq!(shown("u@tcp([::1]:33)/d"), "mysql tcp(::1:33)/d");
        assert_eq!(shown("u@unix(/run/m.sock)/d"), "mysql unix(/run/m.sock)/d");
    }

    #[test]
    fn what_is_not_understood_is_refused_without_being_repeated() {
        for (dsn, refusal) in [
            ("u:secret@tcp(h)", "has no /database"),
            ("u:secret@tcp(h)/", "names no database"),
            ("u:secret@tcp(h:x)/d", "has a port that is none"),
            ("u:secret@udp(h)/d", "is reached by neither tcp(…) nor unix(…)"),
            ("mysql://u:secret@h:x/d", "is no mysql:// URL"),
            ("u:secret@/d?tls=true", "has the parameter tls, which is the section mysql.tls here"),
        ] {
            assert_eq!(shown(dsn), refusal);
        }
    }

    proptest! {
        #[test]
        fn a_password_may_hold_anything_and_is_never_shown(password in "[a-z@/:()?]{6,12}") {
            let dsn = Dsn::parse(&format!("u:{password}@tcp(h:1)/d")).unwrap();
            prop_assert_eq!(dsn.0.get_username(), "u");
            prop_assert_eq!(format!("{dsn} {dsn:?}"), "mysql tcp(h:1)/d mysql tcp(h:1)/d");
        }
    }
}
