//! What is done to users by SCIM.

use axum::response::Response;
use contracts::TenantId;
use service_kit::Problem;

use super::accept::Resource;
use super::apply::apply;
use super::filter::Test;
use super::patch::Operation;
use super::read::{Resources, Showing};
use super::routes::{Writes, Writing, resource_answer};
use super::schema::{Place, Type};
use super::schemas::USER;
use super::user::{self, Draft, Membership};
use super::{Passwords, common};
use crate::change::{Answer, Condition, Mutation, Refused, Write};
use crate::credentials::Password;
use crate::db::{DbError, Row, Value as Param};
use crate::http::{Api, problem};
use crate::users::{self, UserView};

/// Users as resources.
pub(super) struct Users;

impl Resources for Users {
    const TYPE: &'static Type = &USER;
    const TABLE: &'static str = "users";
    const COLUMNS: &'static str = users::COLUMNS;
    const WHAT: &'static str = "user";
    const RELATED: &'static str = "groups";
    const VERSIONED: bool = false;
    type View = UserView;
    type Related = Membership;

    fn view(row: &Row) -> Result<UserView, DbError> {
        UserView::of(row)
    }

    fn related(row: &Row) -> Result<Membership, DbError> {
        Membership::of(row)
    }

    fn relate(tenant: &str, ids: &[&str], most: usize) -> (String, Vec<Param>) {
        Membership::of_users(tenant, ids, most)
    }

    fn id(view: &UserView) -> &str {
        &view.id
    }

    fn owner(related: &Membership) -> &str {
        &related.user
    }

    fn version(view: &UserView) -> i64 {
        view.version
    }

    fn resource(view: &UserView, related: &[Membership], base: &str) -> Result<Resource, DbError> {
        user::resource(view, related, base)
    }

    fn column(place: &Place) -> Option<&'static str> {
        match place.attribute.name {
            "userName" => Some("user_name_key"),
            _ => common::column(place),
        }
    }

    fn condition(_: &TenantId, test: &Test) -> Option<(String, Vec<Param>)> {
        match common::equal(test) {
            Some(("userName", text)) => Some(("user_name_key = ?".to_owned(), vec![text.into()])),
            _ if common::is_padded(test, "userName") => Some(common::nothing()),
            _ => common::condition(test).or_else(|| common::active(test)),
        }
    }

    fn narrow(test: &Test) -> Option<(String, Vec<Param>)> {
        let (name, address) = common::equal(test)?;
        // As it stands in the document, letter by letter.
        let plain = address.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte));
        let is_address = name == "emails" && test.place.leaf().name == "value";
        (is_address && plain).then(|| {
            let sql = "(email = ? OR INSTR(scim, ?) > 0)".to_owned();
            (sql, vec![address.into(), address.into()])
        })
    }
}

impl Writes for Users {
    async fn create(writing: Writing<'_>, mut resource: Resource) -> Result<Response, Problem> {
        let password = user::password(&mut resource);
        let draft = Draft::of(resource).map_err(problem)?;
        let password = hashed(writing.api, password).await?;
        let showing = writing.showing.clone();
        writing.change(Create { draft, password, showing }).await
    }

    async fn replace(
        writing: Writing<'_>,
        id: String,
        mut resource: Resource,
    ) -> Result<Response, Problem> {
        let password = user::password(&mut resource);
        let password = hashed(writing.api, password).await?.map(Some);
        let new = New::Whole(Draft::of(resource).map_err(problem)?);
        let (condition, showing) = (writing.condition(), writing.showing.clone());
        writing.change(Change { id, new, password, condition, showing }).await
    }

    async fn patch(
        writing: Writing<'_>,
        id: String,
        mut operations: Vec<Operation>,
    ) -> Result<Response, Problem> {
        let mut last = None;
        for operation in operations.extract_if(.., |operation| operation.is_about("password")) {
            last = Some(operation.value.and_then(|value| value.as_str().map(Password::new)));
        }
        let password = match last {
            Some(password) if writing.api.options.scim.passwords == Passwords::Set => {
                Some(hashed(writing.api, password).await?)
            }
            _ => None,
        };
        let (condition, showing) = (writing.condition(), writing.showing.clone());
        let new = New::Parts(operations);
        writing.change(Change { id, new, password, condition, showing }).await
    }

    async fn delete(writing: Writing<'_>, id: String) -> Result<Response, Problem> {
        let condition = writing.condition();
        writing.change(users::Delete { id, condition }).await
    }
}

type Hashed = (Password, String);

/// A password with its hash, unless directories set none.
async fn hashed(api: &Api, password: Option<Password>) -> Result<Option<Hashed>, Problem> {
    let sets = api.options.scim.passwords == Passwords::Set;
    let Some(password) = password.filter(|_| sets) else { return Ok(None) };
    let hash = users::hash(api, &password, "password").await?;
    Ok(Some((password, hash)))
}

struct Create {
    draft: Draft,
    password: Option<Hashed>,
    showing: Showing,
}

impl Mutation for Create {
    async fn apply(&self, write: &mut Write<'_>) -> Result<Answer, Refused> {
        let user = self.draft.user(write);
        if let Some((password, _)) = &self.password {
            users::unlike(password, &user, "password")?;
        }
        let hash = self.password.as_ref().map(|(_, hash)| hash.as_str());
        users::make(write, &user, hash, &self.draft.settings()).await?;
        let place = format!("{}/Users/{}", self.showing.base, user.id);
        let answer = resource_answer::<Users>(write, 201, user, &self.showing).await?;
        Ok(answer.at(place))
    }
}

/// What a user is to be.
enum New {
    Whole(Draft),
    Parts(Vec<Operation>),
}

struct Change {
    id: String,
    new: New,
    /// Another, or none.
    password: Option<Option<Hashed>>,
    condition: Condition,
    showing: Showing,
}

impl Mutation for Change {
    async fn apply(&self, write: &mut Write<'_>) -> Result<Answer, Refused> {
        let user = users::present(write, &self.id, &self.condition).await?;
        let new = match &self.new {
            New::Whole(draft) => draft.over(&user),
            New::Parts(operations) => {
                let before = user::resource(&user, &[], &self.showing.base)?;
                let mut resource = before.clone();
                apply(operations, &mut resource)?;
                patched(&user, &before, resource)?
            }
        };
        let mut user = users::alter(write, &user, new).await?;
        if let Some(password) = &self.password {
            users::give_password(write, &mut user, password.as_ref()).await?;
        }
        resource_answer::<Users>(write, 200, user, &self.showing).await
    }
}

/// A user as a patch leaves it. One who only becomes inactive becomes so whatever else was once stored of it.
fn patched(user: &UserView, before: &Resource, mut after: Resource) -> Result<UserView, Refused> {
    let active = after.get("active").and_then(serde_json::Value::as_bool).unwrap_or(user.active);
    after.insert("active".to_owned(), user.active.into());
    if after == *before {
        return Ok(UserView { active, ..user.clone() });
    }
    after.insert("active".to_owned(), active.into());
    Ok(Draft::of(after)?.over(user))
}
