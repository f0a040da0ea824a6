//! What the fields of a generated event say: the vocabulary of a platform's audit log.

use super::mix::Mix;
use super::text::{decimal, hex};

/// Actions with the type of their resource and the prefix of its ids.
const ACTIONS: [(&str, &str, &str); 14] = [
    ("document.read", "document", "d-"),
    ("document.read", "document", "d-"),
    ("document.update", "document", "d-"),
    ("document.share", "document", "d-"),
    ("document.delete", "document", "d-"),
    ("file.download", "file", "f-"),
    ("file.upload", "file", "f-"),
    ("user.updated", "user", "u-"),
    ("team.member_added", "team", "tm-"),
    ("api_key.rotated", "api_key", "k-"),
    ("authz.check", "project", "p-"),
    ("authz.relationship.touched", "project", "p-"),
    ("project.settings.update", "project", "p-"),
    ("report.export", "report", "r-"),
];

/// Actions without a resource.
const BARE_ACTIONS: [&str; 3] = ["login.password", "token.issued", "token.refreshed"];

const SERVICES: [&str; 6] =
    ["sa-ci-runner", "sa-billing", "sa-exporter", "sa-crm-sync", "sa-backup", "sa-indexer"];

const REGIONS: [&str; 6] =
    ["eu-west-1", "eu-central-1", "us-east-1", "us-west-2", "ap-south-1", "sa-east-1"];

const AGENTS: [&str; 6] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_6) AppleWebKit/605.1.15 Version/18.0 Safari/605.1.15",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/131.0.0.0 Safari/537.36",
    "triad-sdk-go/1.14.2",
    "curl/8.10.1",
    "okhttp/4.12.0",
];

/// Actors of one tenant.
const ACTORS: u32 = 500;
/// Resources of one type of one tenant.
const RESOURCES: u32 = 20_000;

fn text(key: &str, value: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":\"");
    out.extend_from_slice(value.as_bytes());
    out.push(b'"');
}

/// Appends `,"actor_id":…,"actor_type":…`.
pub(super) fn actor(tenant: u32, mix: &mut Mix, out: &mut Vec<u8>) {
    match mix.below(100) {
        0..84 => {
            out.extend_from_slice(b",\"actor_id\":\"u-");
            // The lesser of two: some actors are busier.
            let actor = mix.below(ACTORS).min(mix.below(ACTORS));
            hex::<8>(Mix::new(u64::from(tenant), u64::from(actor)).bits(), out);
            out.extend_from_slice(b"\",\"actor_type\":\"user\"");
        }
        84..97 => {
            text("actor_id", mix.pick(&SERVICES), out);
            text("actor_type", "service_account", out);
        }
        _ => text("actor_type", "system", out),
    }
}

/// Appends `,"action":…` and the resource, if it has one.
pub(super) fn action(tenant: u32, mix: &mut Mix, out: &mut Vec<u8>) {
    if mix.chance(6) {
        return text("action", mix.pick(&BARE_ACTIONS), out);
    }
    let (action, kind, prefix) = mix.pick(&ACTIONS);
    text("action", action, out);
    text("resource_type", kind, out);
    out.extend_from_slice(b",\"resource_id\":\"");
    out.extend_from_slice(prefix.as_bytes());
    let resource = mix.below(RESOURCES).min(mix.below(RESOURCES));
    hex::<10>(
        Mix::new(u64::from(tenant) << 8 | u64::from(prefix.as_bytes()[0]), u64::from(resource))
            .bits(),
        out,
    );
    out.push(b'"');
}

/// Appends `,"status":…` and, mostly, `,"source_ip":…` of either version.
pub(super) fn status_and_address(mix: &mut Mix, out: &mut Vec<u8>) {
    let status = match mix.below(100) {
        0..92 => "SUCCESS",
        92..97 => "FAILURE",
        _ => "DENIED",
    };
    text("status", status, out);
    let bits = mix.bits();
    match mix.below(100) {
        0..75 => {
            out.extend_from_slice(b",\"source_ip\":\"");
            for (index, octet) in bits.to_le_bytes()[..4].iter().enumerate() {
                if index > 0 {
                    out.push(b'.');
                }
                decimal(u64::from(*octet), out);
            }
            out.push(b'"');
        }
        75..95 => {
            out.extend_from_slice(b",\"source_ip\":\"2001:db8:");
            hex::<4>(bits >> 16, out);
            out.extend_from_slice(b"::");
            hex::<4>(bits | 1, out);
            out.push(b'"');
        }
        _ => {}
    }
}

/// Appends `,"details":{…}`: from a handful of short entries to a few KiB.
pub(super) fn details(mix: &mut Mix, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"details\":{\"request_id\":\"");
    hex::<16>(mix.bits(), out);
    out.extend_from_slice(b"\",\"latency_ms\":");
    decimal(u64::from(mix.below(900)), out);
    text("region", mix.pick(&REGIONS), out);
    if mix.chance(50) {
        text("user_agent", mix.pick(&AGENTS), out);
    }
    if mix.chance(25) {
        out.extend_from_slice(b",\"session\":\"");
        hex::<16>(mix.bits(), out);
        hex::<16>(mix.bits(), out);
        out.push(b'"');
    }
    if mix.chance(10) {
        out.extend_from_slice(
            br#","change":{"before":{"role":"viewer"},"after":{"role":"editor"},"fields":["role",null,1.5]}"#,
        );
    }
    if mix.chance(4) {
        // Escapes and characters beyond ASCII take the decoder's slower path, as in life.
        out.extend_from_slice(
            ",\"note\":\"Prüfung \\\"Q3\\\": erledigt\\n→ Ablage \\u00e9\"".as_bytes(),
        );
    }
    if mix.below(200) == 0 {
        diff(mix, out);
    }
    out.extend_from_slice(b"}}");
}

/// Appends a long entry, 0.5 to 3.5 KiB.
fn diff(mix: &mut Mix, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"diff\":\"");
    for _ in 0..30 + mix.below(180) {
        hex::<16>(mix.bits(), out);
    }
    out.push(b'"');
}
