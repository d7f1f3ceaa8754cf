//! What code said of a layer stays when another file is put into force.

use http::StatusCode;
use seawall_limit::{
    AccessList, Carry, ClientIp, Key, LayerConfig, LimitLayerBuilder, ListLayer, PeerAddr, Rule,
    SharedAccessList,
};
use tower::Layer as _;

use crate::reload::config;
use crate::support::{get, inner};

fn denied(text: &str) -> ListLayer {
    ListLayer::new(SharedAccessList::new(AccessList::builder().deny_text(text).unwrap().build()))
}

/// Another peer address than the server's own, and everybody but one as one key.
fn said(code: LimitLayerBuilder) -> LimitLayerBuilder {
    code.identify(ClientIp::direct().peer(|extensions| {
        let peer = extensions.get::<PeerAddr>()?.0.ip().to_string();
        peer.strip_suffix(".9").map(|_| [9, 9, 9, 9].into())
    }))
    .key_by(|head| (head.uri.path() != "/a/own").then_some(Key::Text("all")))
    .lists(denied("6.6.6.6"))
    .rule(Rule::path("/b/more").policy("a"))
    .allow(["7.7.7.7"])
}

async fn status(layer: &seawall_limit::LimitLayer, path: &str, peer: &str) -> StatusCode {
    get(&layer.layer(inner().0), path, peer).await.status
}

fn two() -> LayerConfig {
    config(&[("a", 2)])
}

#[tokio::test(start_paused = true)]
async fn what_code_said_stays_at_a_reload_that_does_not_say_it_again() {
    let layer = said(two().builder().unwrap()).build().unwrap();
    for round in 0..3 {
        assert_eq!(status(&layer, "/a", "6.6.6.6").await, StatusCode::FORBIDDEN, "{round}: lists");
        assert_eq!(status(&layer, "/a", "7.7.7.7").await, StatusCode::OK, "{round}: allowed");
        layer.reload(&config(&[("a", 4 + round)]), |code| code).unwrap();
    }
    // One key for all, by whichever way; the rule of code charges the same.
    for (path, peer) in [("/a", "1.1.1.1"), ("/b/more", "2.2.2.2"), ("/a", "3.3.3.3")] {
        assert_eq!(status(&layer, path, peer).await, StatusCode::OK);
    }
    for _ in 0..3 {
        assert_eq!(status(&layer, "/a", "4.4.4.4").await, StatusCode::OK);
    }
    assert_eq!(status(&layer, "/b/more", "5.5.5.5").await, StatusCode::TOO_MANY_REQUESTS);
    // Each peer of .9 is one address, as the closure says.
    for peer in ["1.1.1.9", "2.2.2.9", "3.3.3.9", "4.4.4.9", "5.5.5.9", "6.6.6.9"] {
        assert_eq!(status(&layer, "/a/own", peer).await, StatusCode::OK);
    }
    assert_eq!(status(&layer, "/a/own", "7.7.7.9").await, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test(start_paused = true)]
async fn what_code_says_again_takes_the_place_of_what_it_said() {
    let layer = said(two().builder().unwrap()).build().unwrap();
    let other = |code: LimitLayerBuilder| {
        code.lists(denied("5.5.5.5")).allow(["8.8.8.8"]).rule(Rule::path("/b/less").policy("a"))
    };
    layer.reload(&two(), other).unwrap();
    assert_eq!(status(&layer, "/a", "5.5.5.5").await, StatusCode::FORBIDDEN);
    for _ in 0..5 {
        assert_eq!(status(&layer, "/b/less", "8.8.8.8").await, StatusCode::OK, "allowed");
        assert_eq!(status(&layer, "/b/more", "6.6.6.6").await, StatusCode::OK, "no rule any more");
    }
    for left in [1, 0] {
        assert_eq!(status(&layer, "/b/less", "7.7.7.7").await, StatusCode::OK, "{left} left");
    }
    assert_eq!(status(&layer, "/b/less", "7.7.7.7").await, StatusCode::TOO_MANY_REQUESTS);
    layer.reload(&two(), LimitLayerBuilder::without_lists).unwrap();
    assert_ne!(status(&layer, "/c", "5.5.5.5").await, StatusCode::FORBIDDEN);
}

#[tokio::test(start_paused = true)]
async fn a_file_may_ask_for_the_units_that_were_spent_instead_of_the_share() {
    let layer = config(&[("a", 50)]).build().unwrap();
    for _ in 0..40 {
        assert_eq!(status(&layer, "/a", "1.1.1.1").await, StatusCode::OK);
    }
    let file = LayerConfig { carry: Carry::Units, ..config(&[("a", 100)]) };
    layer.reload(&file, |code| code).unwrap();
    for left in (0..60).rev() {
        assert_eq!(status(&layer, "/a", "1.1.1.1").await, StatusCode::OK, "{left}");
    }
    assert_eq!(status(&layer, "/a", "1.1.1.1").await, StatusCode::TOO_MANY_REQUESTS);
}
