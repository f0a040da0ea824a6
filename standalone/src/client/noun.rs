//! What identity-admin keeps, by a table: tenants, users, teams, service accounts, keys. Each is listed, read, made,
//! changed and deleted in the same way.

use serde_json::{Map, Value};

use super::api::{Call, List, Pages, Service};
use super::args::{Paging, Write};
use super::context::Context;
use super::error::ClientError;
use super::output::member;
use super::shape::Shape;

/// A kind of thing.
#[derive(Debug)]
pub(crate) struct Noun {
    /// What people call one.
    pub(crate) one: &'static str,
    pub(crate) shape: Shape,
    /// Members by which one is found whose id nobody remembers; each is a parameter of the list.
    pub(crate) names: &'static [&'static str],
}

/// The things of a kind, at a path.
pub(crate) struct Things<'c> {
    ctx: &'c mut Context,
    noun: &'static Noun,
    /// Below the tenant; `None` for tenants themselves.
    path: Option<Vec<String>>,
}

impl<'c> Things<'c> {
    /// Things of the tenant.
    pub(crate) fn new(ctx: &'c mut Context, noun: &'static Noun, path: &[&str]) -> Self {
        let path = path.iter().map(|part| (*part).to_owned()).collect();
        Self { ctx, noun, path: Some(path) }
    }

    /// Tenants.
    pub(crate) fn tenants(ctx: &'c mut Context, noun: &'static Noun) -> Self {
        Self { ctx, noun, path: None }
    }

    /// A call about one of them, or about all.
    pub(crate) fn call(
        &self,
        make: fn(Service, &[&str]) -> Call,
        rest: &[&str],
    ) -> Result<Call, ClientError> {
        let about = rest
            .first()
            .map_or_else(|| format!("{}s", self.noun.one), |id| format!("{} {id}", self.noun.one));
        let call = match &self.path {
            None => make(Service::Identity, &[&["v1", "tenants"], rest].concat()),
            Some(path) => {
                let path: Vec<&str> =
                    path.iter().map(String::as_str).chain(rest.iter().copied()).collect();
                make(Service::Identity, &path).of(self.ctx.tenant()?)
            }
        };
        Ok(call.about(about))
    }

    /// Writes the list.
    pub(crate) async fn list(
        self,
        filters: impl IntoIterator<Item = (&'static str, Option<String>)>,
        paging: &Paging,
    ) -> Result<(), ClientError> {
        let call = self.call(Call::get, &[])?;
        let call = filters.into_iter().fold(call, |call, (name, value)| call.query(name, value));
        self.ctx.list((call, List::IDENTITY), paging, &self.noun.shape).await
    }

    /// The id of what is named by its id or by one of its names.
    pub(crate) async fn id(&self, named: &str) -> Result<String, ClientError> {
        if self.noun.names.is_empty() || is_uuid(named) {
            return Ok(named.to_owned());
        }
        // Only an address has the sign, and only addresses are compared with it.
        let fits = |name: &&&str| **name != "email" || named.contains('@');
        for name in self.noun.names.iter().filter(fits) {
            let call = self.call(Call::get, &[])?.query(name, Some(named));
            let mut pages = Pages::new(&self.ctx.api, call, List::IDENTITY, Some(2));
            let mut found = Vec::new();
            while let Some(page) = pages.next().await? {
                found.extend(page);
            }
            if let [one] = found.as_slice() {
                return Ok(member(one, "id"));
            }
        }
        let (one, tenant) = (self.noun.one, self.ctx.tenant()?);
        Err(ClientError::Missing(format!(
            "tenant {tenant} has no {one} {named}; `{one} list` shows them"
        )))
    }

    /// Writes one.
    pub(crate) async fn get(self, named: &str) -> Result<(), ClientError> {
        let id = self.id(named).await?;
        let answer = self.ctx.api.send(&self.call(Call::get, &[&id])?).await?;
        self.ctx.out.show(&answer.body, &self.noun.shape)
    }

    /// Makes one.
    pub(crate) async fn create(self, body: Value, write: &Write) -> Result<(), ClientError> {
        let call = self.call(Call::post, &[])?.json(body);
        self.change(call, write).await
    }

    /// Changes one by a merge patch (RFC 7396).
    pub(crate) async fn patch(
        self,
        named: &str,
        patch: Map<String, Value>,
        write: &Write,
    ) -> Result<(), ClientError> {
        if patch.is_empty() {
            return Err(ClientError::Usage(
                "nothing to change was given; --help shows what can be".to_owned(),
            ));
        }
        let id = self.id(named).await?;
        let call = self.call(Call::patch, &[&id])?.json(patch.into());
        self.change(call, write).await
    }

    /// Has something done with one, as `deactivate`.
    pub(crate) async fn act(
        self,
        named: &str,
        verb: &str,
        write: &Write,
    ) -> Result<(), ClientError> {
        let id = self.id(named).await?;
        let call = self.call(Call::post, &[&id, verb])?;
        self.change(call, write).await
    }

    /// Deletes one, or what stands below one.
    pub(crate) async fn delete(self, named: &str, write: &Write) -> Result<(), ClientError> {
        let id = self.id(named).await?;
        let call = self.call(Call::delete, &[&id])?.condition(&write.condition())?;
        let answer = self.ctx.api.send(&call).await?;
        let sentence = format!("{} {named} deleted", self.noun.one);
        self.ctx.out.wrote(&sentence, &id, &answer)
    }

    /// Sends a write, and writes what it is now.
    pub(crate) async fn change(self, call: Call, write: &Write) -> Result<(), ClientError> {
        let answer = self.ctx.api.send(&call.condition(&write.condition())?).await?;
        self.ctx.out.show(&answer.body, &self.noun.shape)
    }
}

/// Whether it can only be an id.
fn is_uuid(text: &str) -> bool {
    let is_form = |(at, byte): (usize, u8)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    text.len() == 36 && text.bytes().enumerate().all(is_form)
}

/// Members that were given, for a body.
pub(crate) fn given<const N: usize>(members: [(&str, Option<Value>); N]) -> Map<String, Value> {
    let members = members.into_iter();
    members.filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// A text for a patch: an empty one removes what is there.
pub(crate) fn removable(text: Option<&str>) -> Option<Value> {
    text.map(|text| if text.is_empty() { Value::Null } else { text.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_told_from_a_name() {
        assert!(is_uuid("0190a5c4-7f3a-7000-8000-00000000abcd"));
        for name in ["ada", "ada@acme.example", "0190a5c47f3a70008000000000000abcd---", ""] {
            assert!(!is_uuid(name), "{name}");
        }
    }
}
