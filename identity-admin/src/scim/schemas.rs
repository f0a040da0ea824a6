//! The resources that there are: users and groups as RFC 7643 sections 4.1 to 4.3 and 8.7 have them.

use super::schema::{Attribute, Kind, Mutability, Returned, Schema, Type};

/// URI of the extension of users.
pub(super) const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// People.
pub(super) static USER: Type = Type {
    name: "User",
    about: "A person",
    endpoint: "/Users",
    core: &USER_SCHEMA,
    extension: Some(&ENTERPRISE_SCHEMA),
};

/// Teams.
pub(super) static GROUP: Type = Type {
    name: "Group",
    about: "A team",
    endpoint: "/Groups",
    core: &GROUP_SCHEMA,
    extension: None,
};

/// All of them.
pub(super) static TYPES: [&Type; 2] = [&USER, &GROUP];

/// All that they are made of.
pub(super) static SCHEMAS: [&Schema; 3] = [&USER_SCHEMA, &ENTERPRISE_SCHEMA, &GROUP_SCHEMA];

const VALUE: Attribute = Attribute::text("value", "The value.");
const DISPLAY: Attribute = Attribute::text("display", "For people.");
const TYPE: Attribute = Attribute::text("type", "What it is for.");
const PRIMARY: Attribute =
    Attribute::text("primary", "Whether it is the preferred one, of which there is one at most.")
        .of(Kind::Boolean);
const URI: Attribute = VALUE.of(Kind::Reference(&["external"])).exact();

static EMAIL: [Attribute; 4] = [
    Attribute::text("value", "The address; the service keeps it in lower case."),
    DISPLAY,
    TYPE.usually(&["work", "home", "other"]),
    PRIMARY,
];
static PHONE: [Attribute; 4] =
    [VALUE, DISPLAY, TYPE.usually(&["work", "home", "mobile", "fax", "pager", "other"]), PRIMARY];
static IM: [Attribute; 4] = [VALUE, DISPLAY, TYPE, PRIMARY];
static PHOTO: [Attribute; 4] = [URI, DISPLAY, TYPE.usually(&["photo", "thumbnail"]), PRIMARY];
static INFORMATION: [Attribute; 4] = [VALUE, DISPLAY, TYPE, PRIMARY];
static CERTIFICATE: [Attribute; 4] = [VALUE.of(Kind::Binary).exact(), DISPLAY, TYPE, PRIMARY];

static NAME: [Attribute; 6] = [
    Attribute::text("formatted", "The whole name."),
    Attribute::text("familyName", "The family name."),
    Attribute::text("givenName", "The given name."),
    Attribute::text("middleName", "Middle names."),
    Attribute::text("honorificPrefix", "As in Dr."),
    Attribute::text("honorificSuffix", "As in III."),
];

static ADDRESS: [Attribute; 8] = [
    Attribute::text("formatted", "The whole address."),
    Attribute::text("streetAddress", "Street and number."),
    Attribute::text("locality", "City."),
    Attribute::text("region", "State or region."),
    Attribute::text("postalCode", "Postal code."),
    Attribute::text("country", "Country, by ISO 3166-1."),
    TYPE.usually(&["work", "home", "other"]),
    PRIMARY,
];

static TEAM_OF_USER: [Attribute; 4] = [
    Attribute::text("value", "Its id.").exact().read_only(),
    Attribute::text("$ref", "Where it is found.")
        .of(Kind::Reference(&["Group"]))
        .exact()
        .read_only(),
    Attribute::text("display", "Its name.").read_only(),
    Attribute::text("type", "Whether the user is in it, or in a team in it.")
        .read_only()
        .usually(&["direct", "indirect"]),
];

static USER_SCHEMA: Schema = Schema {
    id: "urn:ietf:params:scim:schemas:core:2.0:User",
    name: "User",
    about: "A person",
    attributes: &[
        Attribute::text("userName", "What the user is called at log-in.").required().unique(),
        Attribute::text("name", "The parts of the user's name.").of(Kind::Complex(&NAME)),
        Attribute::text("displayName", "For people."),
        Attribute::text("nickName", "How the user is called."),
        Attribute::text("profileUrl", "A page about the user.").of(Kind::Reference(&["external"])).exact(),
        Attribute::text("title", "As in Vice President."),
        Attribute::text("userType", "As in Employee."),
        Attribute::text("preferredLanguage", "As in de-AT."),
        Attribute::text("locale", "As in de-AT."),
        Attribute::text("timezone", "As in Europe/Vienna."),
        Attribute::text("active", "An inactive user is denied everything; true unless the client says otherwise.").of(Kind::Boolean).defaulted(),
        Attribute::text("password", "What the user logs in with.")
            .exact()
            .written(Mutability::WriteOnly)
            .shown(Returned::Never),
        Attribute::text("emails", "Addresses. The primary one, or else the first, is the user's in Triad, and no two users have it.")
            .of(Kind::Complex(&EMAIL)).many(),
        Attribute::text("phoneNumbers", "Telephone numbers.").of(Kind::Complex(&PHONE)).many(),
        Attribute::text("ims", "Addresses of messengers.").of(Kind::Complex(&IM)).many(),
        Attribute::text("photos", "Pictures.").of(Kind::Complex(&PHOTO)).many(),
        Attribute::text("addresses", "Postal addresses.").of(Kind::Complex(&ADDRESS)).many(),
        Attribute::text("groups", "The teams that the user is in.")
            .of(Kind::Complex(&TEAM_OF_USER)).many().read_only(),
        Attribute::text("entitlements", "Kept for the client: in Triad, roles are bound in authz-edge.")
            .of(Kind::Complex(&INFORMATION)).many(),
        Attribute::text("roles", "Kept for the client: in Triad, roles are bound in authz-edge.")
            .of(Kind::Complex(&INFORMATION)).many(),
        Attribute::text("x509Certificates", "Certificates, DER.").of(Kind::Complex(&CERTIFICATE)).many(),
    ],
};

static MANAGER: [Attribute; 3] = [
    Attribute::text("value", "The manager's id.").exact(),
    Attribute::text("$ref", "Where the manager is found; made of `value`.")
        .of(Kind::Reference(&["User"]))
        .exact(),
    Attribute::text("displayName", "The manager's name, as the client has it."),
];

static ENTERPRISE_SCHEMA: Schema = Schema {
    id: ENTERPRISE,
    name: "EnterpriseUser",
    about: "A person in an organisation",
    attributes: &[
        Attribute::text("employeeNumber", "What the organisation counts the user as."),
        Attribute::text("costCenter", "Who pays."),
        Attribute::text("organization", "The organisation."),
        Attribute::text("division", "Its division."),
        Attribute::text("department", "Its department."),
        Attribute::text("manager", "To whom the user reports.").of(Kind::Complex(&MANAGER)),
    ],
};

static MEMBER: [Attribute; 4] = [
    Attribute::text("value", "The member's id.").exact().written(Mutability::Immutable),
    Attribute::text("$ref", "Where the member is found; made of `value`.")
        .of(Kind::Reference(&["User", "Group"]))
        .exact()
        .written(Mutability::Immutable),
    Attribute::text("type", "What the member is.")
        .written(Mutability::Immutable)
        .usually(&["User", "Group"]),
    Attribute::text("display", "The member's name.").read_only().shown(Returned::Request),
];

static GROUP_SCHEMA: Schema = Schema {
    id: "urn:ietf:params:scim:schemas:core:2.0:Group",
    name: "Group",
    about: "A team",
    attributes: &[
        Attribute::text("displayName", "Its name.").required().exact().unique(),
        Attribute::text(
            "members",
            "Users and teams in it. Service accounts in it are neither shown nor touched.",
        )
        .of(Kind::Complex(&MEMBER))
        .many()
        .unbounded(),
    ],
};
