//! Connecting, to nodes that are not what they should be.

use fred::clients::Client;
use fred::types::config::Config;
use tokio::net::TcpListener;

use super::*;
use crate::Settings;

/// What becomes of connecting to a node that answers `answer` to it, and then `closes` or waits.
async fn connect(url_part: &str, answer: &'static str, closes: bool) -> Result<(), End> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let node = tokio::spawn(async move {
        let (mut node, _) = listener.accept().await.expect("it connects");
        let mut heard = [0; 1024];
        assert_ne!(node.read(&mut heard).await.expect("up"), 0, "it says who it is");
        node.write_all(answer.as_bytes()).await.expect("up");
        if !closes {
            let _ = node.read(&mut heard).await;
        }
    });
    let config = Config::from_url(&format!("redis://{url_part}{address}/2")).expect("valid");
    let client = Client::new(config.clone(), None, None, None);
    let plan = Plan::new(client, config, false, &Settings::default());
    let server = Server::new(address.ip().to_string(), address.port());
    let connected = timeout(PATIENCE, plan.connect(&server)).await.expect("in time");
    let connected = connected.map(drop);
    timeout(PATIENCE, node).await.expect("in time").expect("no panic");
    connected
}

#[tokio::test]
async fn it_is_up_once_each_of_its_lines_was_answered() {
    for answer in ["+OK\r\n+OK\r\n+OK\r\n", "+OK\r\n+OK\r\n-NOPERM no names\r\n"] {
        connect("user:secret@", answer, true).await.expect(answer);
    }
    connect("", "+OK\r\n+OK\r\n", true).await.expect("without a password");
}

#[tokio::test]
async fn what_comes_after_is_never_the_answer_to_a_question() {
    for answer in ["+OK\r\n+OK\r\n$1\r\nx\r\n", "+OK\r\n+OK\r\n$", "+OK\r\n+OK\r\n+OK\r\n"] {
        let end = connect("", answer, false).await.expect_err("more than was asked for");
        assert!(matches!(end, End::Garbled), "{answer:?}: {end}");
    }
}

#[tokio::test]
async fn who_is_refused_garbled_or_left_is_told_which_and_never_the_password() {
    for (answer, text) in [
        ("-WRONGPASS no\r\n+OK\r\n+OK\r\n", "the node refused: Authentication Error: WRONGPASS no"),
        ("+OK\r\n-ERR no such database\r\n+OK\r\n", "the node refused: "),
        ("+OK\r\n+OK\r\n-NOAUTH first\r\n", "the node refused: "),
        ("+OK\r\n:1\r\n", "the node answered with what was not asked for"),
        ("$2\r\nOK\r\n", "the node answered with what was not asked for"),
        ("+OK\r\n+OK", "the node closed it"),
        ("", "the node closed it"),
    ] {
        let end = connect("user:secret@", answer, true).await.expect_err(answer).to_string();
        assert!(end.starts_with(text) && !end.contains("secret"), "{answer:?}: {end}");
    }
}
