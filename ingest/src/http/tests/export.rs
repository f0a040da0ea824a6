use super::*;

const EXPORT: &str = "/v1/tenants/acme/audit/export";

impl Service {
    async fn export(&self, query: &str) -> Response<Body> {
        let request = Request::get(format!("{EXPORT}?{query}")).body(Body::empty()).unwrap();
        self.send(request).await
    }

    async fn export_of(&self, tenant: &str) -> Response<Body> {
        let path = format!("/v1/tenants/{tenant}/audit/export");
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }
}

#[tokio::test]
async fn an_export_holds_every_event_once_in_order() {
    let (store, events) = stored(2500);
    let service = serve(store).await;
    let response = service.export("format=ndjson").await;
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/x-ndjson");
    let name = response.headers()[header::CONTENT_DISPOSITION].to_str().unwrap().to_owned();
    assert!(name.starts_with("attachment; filename=\"audit-acme-20"), "{name}");
    let body = to_bytes(response.into_body(), 16 << 20).await.unwrap();
    let lines = std::str::from_utf8(&body).unwrap().lines();
    let ids: Vec<_> = lines
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned())
        .collect();
    let expected: Vec<_> = events.iter().map(|event| event.source_id.clone().unwrap()).collect();
    assert_eq!(ids, expected);
}

#[tokio::test]
async fn filters_and_formats_are_those_asked_for() {
    let (store, _) = stored(9);
    let service = serve(store).await;
    let response = service.export("format=csv&actor_id=u-0&order=oldest").await;
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    let lines: Vec<_> = std::str::from_utf8(&body).unwrap().lines().collect();
    assert_eq!(lines.len(), 1 + 3);
    assert!(lines[1].contains(",s-6,"), "{}", lines[1]);
    let response = service.export("format=parquet").await;
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    assert_eq!((&body[..4], &body[body.len() - 4..]), (&b"PAR1"[..], &b"PAR1"[..]));
    for query in ["format=xml", "limit=5", "cursor=x"] {
        assert_eq!(answer(service.export(query).await).await.0, 400, "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_midway_breaks_the_body_and_one_before_it_is_a_problem() {
    let (store, _) = stored(2500);
    let service = serve(Model { fails_after: Some(4), ..store }).await;
    let response = service.export("").await;
    assert_eq!(response.status(), 200);
    assert!(to_bytes(response.into_body(), 16 << 20).await.is_err());
    assert_eq!(answer(service.export("").await).await.0, 503);
}

#[tokio::test]
async fn a_tenant_has_half_of_all_exports_and_a_gone_client_makes_room() {
    let (mut store, events) = stored(5000);
    for event in &events {
        store.insert(&layouts(), "other", event.clone());
    }
    let service = serve(store).await;
    let refused = async |tenant: &str| {
        let response = service.export_of(tenant).await;
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
        answer(response).await.0.as_u16()
    };
    let mut open = Vec::new();
    for _ in 0..4 {
        open.push(service.export_of("acme").await);
    }
    assert_eq!(refused("acme").await, 429);
    for _ in 0..4 {
        open.push(service.export_of("other").await);
    }
    assert!(open.iter().all(|response| response.status() == 200));
    assert_eq!(refused("third").await, 503);
    open.remove(0);
    // The task learns of it when it next sends.
    while service.export_of("acme").await.status() != 200 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_loses_its_export() {
    let (store, _) = stored(5000);
    let service = serve(store).await;
    let response = service.export("").await;
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert!(to_bytes(response.into_body(), 16 << 20).await.is_err());
}
