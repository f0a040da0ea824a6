//! What a token may do, apart from whose tenant it is bound to.

use serde::{Deserialize, Serialize};

macro_rules! scopes {
    ($($(#[$doc:meta])* $name:ident = $text:literal),+ $(,)?) => {
        /// A scope of an access token or an API key.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Scope { $($(#[$doc])* #[serde(rename = $text)] $name),+ }

        impl Scope {
            /// Every scope there is.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The scope of that name; unknown names are `None`, so that a token from a newer
            /// issuer grants what is known and nothing else.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$name),)+ _ => None }
            }

            /// The name on the wire.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }
        }
    };
}

scopes! {
    /// Send audit events.
    AuditWrite = "audit:write",
    /// Read audit events.
    AuditRead = "audit:read",
    /// Ask for permissions.
    AuthzCheck = "authz:check",
    /// Change relationships, roles and resources.
    AuthzWrite = "authz:write",
    /// Read users, teams, service accounts.
    IdentityRead = "identity:read",
    /// Change users, teams, service accounts.
    IdentityWrite = "identity:write",
    /// Ask whether a token is active.
    TokenIntrospect = "token:introspect",
    /// Administer one tenant.
    TenantAdmin = "tenant:admin",
    /// Cross tenants.
    SystemAdmin = "system:admin",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_and_its_name_are_one() {
        for scope in Scope::ALL {
            assert_eq!(Scope::parse(scope.as_str()), Some(*scope));
        }
        assert_eq!(Scope::parse("audit:*"), None);
    }
}
