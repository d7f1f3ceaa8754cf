use super::program::{TURN, run};

#[test]
fn a_small_demo_keeps_its_promises_and_writes_a_page_that_needs_nothing_else() {
    let _turn = TURN.blocking_lock();
    let folder = std::env::temp_dir().join(format!("seawall-demo-test-{}", std::process::id()));
    let page = folder.join("report.html");
    let args = ["--scale", "0.02", "--duration", "8", "--rate", "60", "--report"];
    let demo = || run(&[&args[..], &[page.to_str().unwrap()]].concat());
    let (mut code, mut out) = demo();
    // A debug build on a machine that stalls may be late; what it reads is right all the same.
    for _ in 0..2 {
        if code == Some(1) {
            assert!(out.contains("held    stale reads"), "{out}");
            (code, out) = demo();
        }
    }
    assert_eq!(code, Some(0), "three times: {out}");
    for promise in ["p95 from intended start", "error rate", "stale reads"] {
        assert!(out.contains(&format!("held    {promise}")), "{out}");
    }
    let html = std::fs::read_to_string(&page).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(html.contains("All promises held") && html.ends_with("</html>"));
    for outside in ["src=", "href=", "url(", "@import"] {
        assert!(!html.contains(outside), "the page refers to something else by {outside}");
    }
}

#[test]
fn without_a_rate_it_finds_one_and_says_so() {
    let _turn = TURN.blocking_lock();
    let page = std::env::temp_dir().join(format!("seawall-rate-test-{}.html", std::process::id()));
    let (code, out) =
        run(&["--scale", "0.001", "--duration", "5", "--report", page.to_str().unwrap()]);
    std::fs::remove_file(&page).unwrap();
    // A debug build on a busy machine may miss its SLOs; it must not fail to run.
    assert!(matches!(code, Some(0 | 1)), "{code:?} {out}");
    assert!(out.contains("this machine copes with ") && out.contains("50 % of the "), "{out}");
}

#[test]
fn a_bad_command_line_says_what_was_expected() {
    let _turn = TURN.blocking_lock();
    let (code, _) = run(&["--scale", "0"]);
    assert_eq!(code, Some(2));
    let (code, _) = run(&["--trace", "/does/not/exist.csv"]);
    assert_eq!(code, Some(2));
}
