//! Hosts of requests and of routes.

/// A request's host without its port, in lower case. `None` for whatever is spelled unusually (a
/// trailing dot, an empty label, user information): a stricter route must not be missed by it.
#[must_use]
pub fn plain(host: &str) -> Option<String> {
    if let Some((address, port)) = host.strip_prefix('[').and_then(|host| host.split_once(']')) {
        let is_address = address.parse::<std::net::Ipv6Addr>().is_ok();
        let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(is_number);
        return (is_address && is_port).then(|| format!("[{}]", address.to_ascii_lowercase()));
    }
    let (name, port) = host.split_once(':').unwrap_or((host, "0"));
    (is_number(port) && name.split('.').all(is_label)).then(|| name.to_ascii_lowercase())
}

fn is_number(text: &str) -> bool {
    text.parse::<u16>().is_ok() && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_label(label: &str) -> bool {
    !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
}

/// The hosts of a route.
#[derive(Debug)]
pub enum HostRule {
    /// One.
    Exact(String),
    /// All below a domain, not itself; with its leading dot.
    Below(String),
}

impl HostRule {
    /// Reads `docs.example.com` or `*.example.com`.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let refused = "must be a host in lower case without a port, or *.suffix";
        let domain = text.strip_prefix("*.");
        let name = domain.unwrap_or(text);
        if plain(name).as_deref() != Some(name) {
            return Err(refused);
        }
        Ok(domain
            .map_or_else(|| Self::Exact(name.to_owned()), |name| Self::Below(format!(".{name}"))))
    }

    /// Whether `host`, as [`plain`] gives it, is one of them.
    #[must_use]
    pub fn covers(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => host == name,
            Self::Below(suffix) => host.ends_with(suffix.as_str()),
        }
    }
}
