//! Who is in the company, and what it has.

/// Name and display name.
pub(super) const PEOPLE: &[(&str, &str)] = &[
    ("ann", "Ann Archer"),
    ("ben", "Ben Boyd"),
    ("cleo", "Cleo Castillo"),
    ("dan", "Dan Duarte"),
    ("eve", "Eve Ekberg"),
    ("finn", "Finn Fischer"),
    ("gina", "Gina Greco"),
    ("hank", "Hank Hughes"),
    ("ida", "Ida Ivanova"),
    ("jo", "Jo Jansen"),
    ("kim", "Kim Kaplan"),
    ("lea", "Lea Laurent"),
];

/// A team, the teams that it is part of, and who is in it.
pub(super) const TEAMS: &[(&str, &[&str], &[&str])] = &[
    ("company", &[], &[]),
    ("engineering", &["company"], &["ben"]),
    ("platform", &["engineering"], &["ann", "cleo", "dan"]),
    ("web", &["engineering"], &["eve", "finn"]),
    ("finance", &["company"], &["gina", "hank"]),
    ("support", &["company"], &["ida", "jo", "kim"]),
    ("contractors", &[], &["lea"]),
];

/// A role, and its permissions.
pub(super) const ROLES: &[(&str, &str)] = &[
    ("viewer", r#"[{"action": "read"}]"#),
    (
        "editor",
        r#"[{"action": "read"}, {"action": "write", "on": {"type": "document"},
            "condition": "resource.properties.status != \"archived\""}]"#,
    ),
    (
        "owner",
        r#"[{"action": "read"}, {"action": "write"}, {"action": "share"},
            {"action": "delete", "condition": "resource.properties.owner == subject.id"}]"#,
    ),
    (
        "on-site",
        r#"[{"action": "read", "condition": "has(context.ip) && context.ip.startsWith(\"10.\")"}]"#,
    ),
];

/// A folder, and the one above it.
pub(super) const FOLDERS: &[(&str, &str)] = &[
    ("engineering", "company"),
    ("designs", "engineering"),
    ("finance", "company"),
    ("handbook", "company"),
];

/// A document, its folder, its status, and who owns it.
pub(super) const DOCUMENTS: &[(&str, &str, &str, &str)] = &[
    ("roadmap", "engineering", "active", "ben"),
    ("cache-design", "designs", "active", "ann"),
    ("old-design", "designs", "archived", "cleo"),
    ("runbook", "engineering", "active", "dan"),
    ("style-guide", "designs", "active", "eve"),
    ("budget", "finance", "active", "gina"),
    ("payroll", "finance", "active", "hank"),
    ("holidays", "handbook", "active", "kim"),
    ("welcome", "handbook", "active", "ida"),
];

/// Kind and name of who has a role, the role, and the folder on which; empty is everywhere.
pub(super) const BINDINGS: &[(&str, &str, &str, &str)] = &[
    ("team", "company", "viewer", "handbook"),
    ("team", "engineering", "viewer", "engineering"),
    ("team", "platform", "editor", "engineering"),
    ("team", "web", "editor", "designs"),
    ("user", "ben", "owner", "engineering"),
    ("team", "finance", "editor", "finance"),
    ("user", "gina", "owner", "finance"),
    ("team", "support", "editor", "handbook"),
    ("team", "contractors", "on-site", "designs"),
];
