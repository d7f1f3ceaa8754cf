use super::*;
use crate::Error;

async fn routes(layer: RedLayer, handle: &Handle, paths: &[&str]) -> Vec<(String, u64)> {
    for path in paths {
        let inner =
            service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(full(""))) });
        let request = Request::builder().uri(*path).body(()).unwrap();
        drop(layer.layer(inner).oneshot(request).await.unwrap());
    }
    series(handle, DURATION)
        .into_iter()
        .map(|(labels, count)| (labels["http_route"].clone(), count))
        .collect()
}

#[tokio::test]
async fn a_table_turns_paths_into_templates_and_unknown_ones_into_one() {
    let (layer, handle) = layer();
    let layer = layer.route_table(["/", "/users/{id}", "/users/me", "/static/{*path}"]).unwrap();
    let paths = [
        "/",
        "/users/1?page=2",
        "/users/2",
        "/users/me",
        "/static/a/b.css",
        "/users",
        "/users/1/x",
        "/wp-admin.php",
        "*",
    ];
    let seen = routes(layer, &handle, &paths).await;
    let expected =
        [("/", 1), ("/static/{*path}", 1), ("/users/me", 1), ("/users/{id}", 2), ("unmatched", 4)];
    assert_eq!(seen, expected.map(|(route, count)| (route.to_owned(), count)));
}

#[tokio::test]
async fn a_template_that_cannot_be_is_refused_by_its_name() {
    for (templates, refused) in [
        (vec!["/ok", "/users/{id"], "/users/{id"),
        (vec!["/users/{id}", "/users/{name}"], "/users/{name}"),
        (vec!["/a", "/a"], "/a"),
    ] {
        let error = RedLayer::new().route_table(templates).unwrap_err();
        assert!(std::error::Error::source(&error).is_some());
        assert!(!error.is_retryable());
        let Error::Template { template, .. } = error else { panic!("{error}") };
        assert_eq!(&*template, refused);
    }
}
