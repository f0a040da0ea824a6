use serde_json::json;

use super::*;

const AUDIT: &str = "/v1/tenants/acme/audit";

fn ids(page: &Value) -> Vec<String> {
    let events = page["events"].as_array().unwrap().iter();
    events.map(|event| event["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn an_event_is_shown_as_it_came_with_every_tick() {
    let time = Ticks::from_gregorian(super::super::now().gregorian() / 10 * 10 + 7);
    let position = Position { time: time.millis(), id: id_at(time, 99) };
    let whole = StoredEvent {
        position,
        source_id: Some("s".to_owned()),
        actor_id: Some("u".to_owned()),
        actor_type: Some("user".to_owned()),
        action: "a.b".to_owned(),
        resource_id: Some("d".to_owned()),
        resource_type: Some("doc".to_owned()),
        status: Some("DENIED".to_owned()),
        source_ip: Some("2001:db8::1".parse().unwrap()),
        details: vec![("_extra".to_owned(), r#"{"n":1}"#.to_owned())],
    };
    let mut store = Model::default();
    store.insert(&layouts(), "acme", whole);
    let service = serve(store).await;
    let (status, shown) = service.get(&format!("{AUDIT}/{}", position.id)).await;
    assert_eq!(status, 200);
    let expected = json!({
        "tenant_id": "acme", "event_id": position.id.to_string(), "id": "s",
        "event_time": time.to_rfc3339(), "actor_id": "u", "actor_type": "user", "action": "a.b",
        "resource_type": "doc", "resource_id": "d", "status": "DENIED",
        "source_ip": "2001:db8::1", "details": {"_extra": "{\"n\":1}"},
    });
    assert_eq!(shown, expected);
    assert_eq!(shown["event_time"].as_str().unwrap().len(), "2026-11-22T14:03:07.1234567Z".len());
    for absent in [
        format!("/v1/tenants/other/audit/{}", position.id),
        format!("{AUDIT}/{}", id_at(time, 4)),
        format!("{AUDIT}/{}", uuid::Uuid::from_u128(7)),
        format!("{AUDIT}/{}", position.id.to_string().to_uppercase()),
        format!("{AUDIT}/nonsense"),
    ] {
        assert_eq!(service.get(&absent).await.0, 404, "{absent}");
    }
}

#[tokio::test]
async fn cursors_lead_through_all_events_in_both_orders() {
    let (store, events) = stored(250);
    let service = serve(store).await;
    let newest: Vec<_> = events.iter().map(|event| event.source_id.clone().unwrap()).collect();
    for (order, expected) in
        [("newest", newest.clone()), ("oldest", newest.iter().rev().cloned().collect::<Vec<_>>())]
    {
        let first = format!("{AUDIT}?order={order}&limit=60");
        let (mut seen, mut path) = (Vec::new(), first.clone());
        loop {
            let (status, page) = service.get(&path).await;
            assert_eq!(status, 200, "{page}");
            seen.extend(ids(&page));
            let Some(cursor) = page["next_cursor"].as_str() else { break };
            path = format!("{first}&cursor={cursor}");
        }
        assert_eq!(seen, expected);
    }
}

#[tokio::test]
async fn a_cursor_belongs_to_its_tenant_filter_order_and_range() {
    let (store, _) = stored(10);
    let service = serve(store).await;
    let (_, page) = service.get(&format!("{AUDIT}?limit=2&actor_id=u-1")).await;
    let cursor = page["next_cursor"].as_str().unwrap();
    let (status, page) =
        service.get(&format!("{AUDIT}?limit=9&actor_id=u-1&cursor={cursor}")).await;
    assert_eq!((status.as_u16(), ids(&page)), (200, vec!["s-7".to_owned()]));
    for other in [
        format!("{AUDIT}?cursor={cursor}"),
        format!("{AUDIT}?actor_id=u-2&cursor={cursor}"),
        format!("{AUDIT}?actor_id=u-1&order=oldest&cursor={cursor}"),
        format!("{AUDIT}?actor_id=u-1&from=2026-01-01T00:00:00Z&cursor={cursor}"),
        format!("/v1/tenants/other/audit?actor_id=u-1&cursor={cursor}"),
        format!("{AUDIT}?actor_id=u-1&cursor={}", cursor.replace('A', "B")),
        format!("{AUDIT}?actor_id=u-1&cursor="),
    ] {
        assert_eq!(service.get(&other).await.0, 400, "{other}");
    }
}

#[tokio::test]
async fn bad_parameters_are_named() {
    let service = serve(Model::default()).await;
    for (query, named) in [
        ("form=2026-01-01T00:00:00Z", "form"),
        ("from=yesterday", "from"),
        ("to=2026-01-01T00:00:00%2B25:00", "to"),
        ("from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "from"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("order=random", "order"),
        ("status=OK", "status"),
        ("actor_id=", "actor_id"),
        ("action=a&action=b", "action"),
    ] {
        let (status, problem) = service.get(&format!("{AUDIT}?{query}")).await;
        assert_eq!(status, 400, "{query}");
        assert!(problem["detail"].as_str().unwrap().contains(named), "{query}: {problem}");
    }
}

#[tokio::test]
async fn ranges_are_half_open_to_the_tick() {
    let base = super::super::now().gregorian() / 100_000 * 100_000;
    let at = |ticks: u64| Ticks::from_gregorian(base + ticks);
    let mut store = Model::default();
    for ticks in 0..4 {
        let position = Position { time: at(ticks).millis(), id: id_at(at(ticks), ticks << 8) };
        let source_id = Some(ticks.to_string());
        store.insert(&layouts(), "acme", StoredEvent { source_id, ..event(position) });
    }
    let service = serve(store).await;
    let (from, to) = (at(1).to_rfc3339(), at(3).to_rfc3339());
    let (_, page) = service.get(&format!("{AUDIT}?from={from}&to={to}")).await;
    assert_eq!(ids(&page), ["2", "1"]);
}

#[tokio::test]
async fn a_stale_registry_and_a_failing_store_are_503_and_say_nothing_of_the_database() {
    let (store, _) = stored(1);
    let service = serve(Model { fails_after: Some(0), ..store }).await;
    let request = || Request::get(AUDIT).body(Body::empty()).unwrap();
    let response = service.send(request()).await;
    assert_eq!(response.headers()[header::RETRY_AFTER], "1");
    let (status, problem) = answer(response).await;
    assert_eq!((status.as_u16(), &problem["detail"]), (503, &json!("the store is unavailable")));
    service.stale.store(true, Ordering::Relaxed);
    assert_eq!(service.get(AUDIT).await.0, 503);
    let id = id_at(super::super::now(), 1);
    assert_eq!(service.get(&format!("{AUDIT}/{id}")).await.0, 503);
}
