//! OpenFGA's HTTP API: a store for each tenant, with one model.

use anyhow::{Context, ensure};
use bytes::{Bytes, BytesMut};
use hyper::{Method, Uri};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::change::Change;
use super::super::graph::Shape;
use super::super::link::{Ask, Endpoint, Link};
use super::super::space::Question;
use super::super::words::{Action, Fact, Family, Holder, Scope};
use super::body::Body;
use super::refusal;

/// Tuples of one write: its limit.
const BATCH: usize = 100;

/// A tenant's store.
struct Store {
    check: Uri,
    write: Uri,
    model: String,
}

/// The stores of all tenants.
pub(super) struct OpenFga {
    shape: Shape,
    stores: Vec<Store>,
}

impl OpenFga {
    /// Finds the stores that [`OpenFga::create`] made.
    pub(super) async fn find(
        endpoint: &Endpoint,
        shape: &Shape,
        tenants: u32,
    ) -> anyhow::Result<Self> {
        let mut link = endpoint.connect().await?;
        let mut stores = Vec::new();
        for rank in 0..tenants {
            let name = shape.tenant(rank);
            let id = ids(endpoint, &mut link, &name).await?.pop();
            let id = id.with_context(|| format!("there is no store {name}: `check load` first"))?;
            let path = format!("/stores/{id}/authorization-models?page_size=1");
            let models = call(endpoint, &mut link, Method::GET, &path, None).await?;
            let model = models["authorization_models"][0]["id"].as_str();
            let model = model.with_context(|| format!("store {name} has no model"))?;
            stores.push(Store::new(endpoint, &id, model)?);
        }
        Ok(Self { shape: shape.clone(), stores })
    }

    /// Makes a fresh store for each tenant; one of that name is deleted before.
    pub(super) async fn create(
        endpoint: &Endpoint,
        shape: &Shape,
        tenants: u32,
    ) -> anyhow::Result<Self> {
        let mut link = endpoint.connect().await?;
        let mut stores = Vec::new();
        for rank in 0..tenants {
            let name = shape.tenant(rank);
            for id in ids(endpoint, &mut link, &name).await? {
                let path = format!("/stores/{id}");
                call(endpoint, &mut link, Method::DELETE, &path, None).await?;
            }
            let body = json!({ "name": name });
            let store = call(endpoint, &mut link, Method::POST, "/stores", Some(&body)).await?;
            let id = store["id"].as_str().context("a new store has no id")?;
            let path = format!("/stores/{id}/authorization-models");
            let model = call(endpoint, &mut link, Method::POST, &path, Some(&model())).await?;
            let model = model["authorization_model_id"].as_str().context("a model has no id")?;
            stores.push(Store::new(endpoint, id, model)?);
        }
        Ok(Self { shape: shape.clone(), stores })
    }

    pub(super) fn check(
        &self,
        endpoint: &Endpoint,
        question: &Question,
        buffer: &mut BytesMut,
    ) -> Ask {
        let store = &self.stores[question.tenant as usize];
        let mut body = Body::new(buffer);
        body.text(br#"{"tuple_key":{"user":"user:u-"#);
        body.number(question.user);
        body.text(br#"","relation":""#);
        body.text(question.action.name().as_bytes());
        body.text(br#"","object":"document:d-"#);
        body.number(question.document);
        // Without it the store's newest model would be looked up for every check.
        body.text(br#""},"authorization_model_id":""#);
        body.text(store.model.as_bytes());
        body.text(br#""}"#);
        endpoint.post(&store.check, body.take())
    }

    pub(super) fn change(&self, endpoint: &Endpoint, tenant: u32, change: Change) -> Ask {
        let store = &self.stores[tenant as usize];
        let (add, fact) = change.relationship(&self.shape);
        let keys = [tuple(fact)];
        let body = if add {
            writes(&keys, &store.model)
        } else {
            let deletes = json!({"tuple_keys": keys, "on_missing": "ignore"});
            json!({"deletes": deletes, "authorization_model_id": store.model})
        };
        endpoint.post(&store.write, body.to_string().into())
    }

    pub(super) fn tell(
        &self,
        endpoint: &Endpoint,
        tenant: u32,
        facts: &[Fact],
    ) -> impl Iterator<Item = Ask> + Send {
        let store = &self.stores[tenant as usize];
        facts.chunks(BATCH).map(move |facts| {
            let keys: Vec<_> = facts.iter().copied().map(tuple).collect();
            endpoint.post(&store.write, writes(&keys, &store.model).to_string().into())
        })
    }
}

impl Store {
    fn new(endpoint: &Endpoint, id: &str, model: &str) -> anyhow::Result<Self> {
        Ok(Self {
            check: endpoint.uri(&format!("/stores/{id}/check"))?,
            write: endpoint.uri(&format!("/stores/{id}/write"))?,
            model: model.to_owned(),
        })
    }
}

fn writes(keys: &[Value], model: &str) -> Value {
    let writes = json!({"tuple_keys": keys, "on_duplicate": "ignore"});
    json!({"writes": writes, "authorization_model_id": model})
}

/// The ids of the stores of that name.
async fn ids(endpoint: &Endpoint, link: &mut Link, name: &str) -> anyhow::Result<Vec<String>> {
    let path = format!("/stores?name={name}");
    let found = call(endpoint, link, Method::GET, &path, None).await?;
    let stores = found["stores"].as_array().cloned().unwrap_or_default();
    let named = stores.iter().filter(|store| store["name"] == name);
    Ok(named.filter_map(|store| store["id"].as_str().map(str::to_owned)).collect())
}

async fn call(
    endpoint: &Endpoint,
    link: &mut Link,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> anyhow::Result<Value> {
    let bytes = body.map_or_else(Bytes::new, |body| body.to_string().into());
    let request = endpoint.ask(method, &endpoint.uri(path)?, bytes);
    let answer = link.exchange(request).await?;
    ensure!(answer.status.is_success(), "{path}: {}", refusal(&answer));
    // A deletion is answered with nothing.
    Ok(serde_json::from_slice(&answer.body).unwrap_or_default())
}

/// Roles as relations on whatever has documents below it; the root stands for all documents.
fn model() -> Value {
    let members = json!([{"type": "user"}, {"type": "team", "relation": "member"}]);
    let mut types = vec![
        json!({"type": "user"}),
        json!({
            "type": "team",
            "relations": {"member": {"this": {}}},
            "metadata": {"relations": {"member": {"directly_related_user_types": members}}},
        }),
    ];
    for (name, parents) in
        [("root", &[][..]), ("folder", &["root", "folder"][..]), ("document", &["folder"][..])]
    {
        let (mut relations, mut metadata) = (serde_json::Map::new(), serde_json::Map::new());
        for family in Family::ALL {
            relations.insert(family.name().to_owned(), json!({"this": {}}));
            metadata
                .insert(family.name().to_owned(), json!({"directly_related_user_types": members}));
        }
        if !parents.is_empty() {
            let types: Vec<_> = parents.iter().map(|parent| json!({"type": parent})).collect();
            relations.insert("parent".to_owned(), json!({"this": {}}));
            metadata.insert("parent".to_owned(), json!({"directly_related_user_types": types}));
        }
        for action in Action::ALL {
            relations.insert(action.name().to_owned(), who_may(action, !parents.is_empty()));
        }
        let relations = Value::Object(relations);
        types.push(
            json!({"type": name, "relations": relations, "metadata": {"relations": metadata}}),
        );
    }
    json!({"schema_version": "1.1", "type_definitions": types})
}

/// Whoever holds a role that has it, here or above.
fn who_may(action: Action, inherits: bool) -> Value {
    let held = Family::with(action)
        .iter()
        .map(|family| json!({"computedUserset": {"relation": family.name()}}));
    let above = json!({"tupleToUserset": {
        "tupleset": {"relation": "parent"},
        "computedUserset": {"relation": action.name()},
    }});
    let mut ways: Vec<_> = held.chain(inherits.then_some(above)).collect();
    // A union of one is refused.
    if ways.len() == 1 { ways.remove(0) } else { json!({"union": {"child": ways}}) }
}

fn tuple(fact: Fact) -> Value {
    let key = |user: String, relation: &str, object: String| json!({"user": user, "relation": relation, "object": object});
    match fact {
        Fact::Member { user, team } => {
            key(format!("user:u-{user}"), "member", format!("team:t-{team}"))
        }
        Fact::Nested { team, parent } => {
            key(format!("team:t-{team}#member"), "member", format!("team:t-{parent}"))
        }
        Fact::Folder { folder, parent } => {
            let parent =
                parent.map_or_else(|| "root:all".to_owned(), |outer| format!("folder:f-{outer}"));
            key(parent, "parent", format!("folder:f-{folder}"))
        }
        Fact::Document { document, folder } => {
            key(format!("folder:f-{folder}"), "parent", format!("document:d-{document}"))
        }
        Fact::Binding { holder, role, scope } => {
            let holder = match holder {
                Holder::User(user) => format!("user:u-{user}"),
                Holder::Team(team) => format!("team:t-{team}#member"),
            };
            let object = match scope {
                Scope::Document(document) => format!("document:d-{document}"),
                Scope::Folder(folder) => format!("folder:f-{folder}"),
                Scope::Documents => "root:all".to_owned(),
            };
            key(holder, Family::of(role).name(), object)
        }
    }
}

/// The decision in a check's answer.
pub(super) fn decision(body: &[u8]) -> Option<bool> {
    #[derive(Deserialize)]
    struct Answer {
        allowed: bool,
    }
    Some(serde_json::from_slice::<Answer>(body).ok()?.allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tuples_are_told_in_openfga_s_words() {
        let fact = Fact::Binding { holder: Holder::Team(3), role: 4, scope: Scope::Documents };
        let expected =
            json!({"user": "team:t-3#member", "relation": "editor", "object": "root:all"});
        assert_eq!(tuple(fact), expected);
        let expected = json!({"user": "root:all", "relation": "parent", "object": "folder:f-7"});
        assert_eq!(tuple(Fact::Folder { folder: 7, parent: None }), expected);
    }

    #[test]
    fn every_action_is_inherited_from_above() {
        let model = model();
        let document = &model["type_definitions"][4];
        assert_eq!(document["type"], "document");
        let share = &document["relations"]["share"]["union"]["child"];
        assert_eq!(share.as_array().unwrap().len(), 2, "managers, and who may share the folder");
        assert_eq!(share[1]["tupleToUserset"]["computedUserset"]["relation"], "share");
    }

    #[test]
    fn decisions_are_read_and_nothing_else_is_taken_for_one() {
        assert_eq!(decision(br#"{"allowed":true, "resolution":""}"#), Some(true));
        assert_eq!(decision(br#"{"code":"x"}"#), None);
    }
}
