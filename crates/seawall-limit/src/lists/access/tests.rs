use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

fn at(list: &AccessList, address: &str) -> Option<Access> {
    list.get(address.parse().unwrap())
}

#[test]
fn deny_beats_allow_only_at_equal_length() {
    let list = AccessList::builder()
        .deny_text("10.0.0.0/8\n10.9.0.0/16")
        .unwrap()
        .allow_text("10.1.0.0/16\n10.0.0.0/8\n10.9.9.9")
        .unwrap()
        .build();
    assert_eq!(at(&list, "10.2.0.0"), Some(Access::Deny));
    assert_eq!(at(&list, "10.1.0.0"), Some(Access::Allow));
    assert_eq!(at(&list, "10.9.9.8"), Some(Access::Deny));
    assert_eq!(at(&list, "10.9.9.9"), Some(Access::Allow));
    assert_eq!(at(&list, "11.0.0.0"), None);
}

#[test]
fn a_bad_line_is_named_by_its_number() {
    let text = "# comment\r\n\r\n  10.0.0.0/8 ; site\r\n1.1.1.1 # one\n10.0.0.0/40 # typo\n";
    let error = AccessList::builder().deny_text(text).unwrap_err();
    assert_eq!(error, Error::ListLine { line: 5, text: "10.0.0.0/40".into() });
    let list = AccessList::builder().deny_text(text.rsplit_once("10.0").unwrap().0).unwrap();
    assert_eq!(list.build().len(), 2);
    let long = "x".repeat(10_000);
    let error = AccessList::builder().allow_text(&long).unwrap_err().to_string();
    assert!(error.len() < 200, "{error}");
}

#[test]
fn a_swap_is_seen_whole_or_not_at_all() {
    // Either list says the same of both addresses; a mixture would not.
    let list = |text: &str| AccessList::builder().deny_text(text).unwrap().build();
    let [one, other] = ["1.1.1.1", "2001:db8::1"].map(|text| text.parse().unwrap());
    let shared = SharedAccessList::new(list("1.1.1.1\n2001:db8::1"));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for turn in 0..2_000 {
                shared.replace(list(if turn % 2 == 0 { "" } else { "1.1.1.1\n2001:db8::1" }));
            }
            done.store(true, Ordering::Release);
        });
        while !done.load(Ordering::Acquire) {
            let now = shared.load();
            assert_eq!(now.get(one), now.get(other));
        }
    });
    assert_eq!(shared.get(one), Some(Access::Deny));
}
