//! What must be compared with L2 in the background.

use super::*;

#[tokio::test]
async fn a_check_wakes_the_one_who_waits_for_it() {
    let l1 = watched();
    let cell = l1.tag("numbers#t:red", 0);
    l1.changed("numbers#t:red", None);
    tokio::time::timeout(TTL, l1.checks()).await.expect("woken");
    assert!(
        matches!(l1.take_checks(9).as_slice(), [Check::Mark(asked)] if Arc::ptr_eq(asked, &cell))
    );
    assert!(l1.take_checks(9).is_empty());
}

#[tokio::test]
async fn checks_are_taken_in_order_and_in_parts() {
    let l1 = watched();
    let cells: Vec<_> = (0..5).map(|tag| l1.tag(&format!("numbers#t:{tag}"), 0)).collect();
    for cell in &cells {
        l1.changed(cell.text(), None);
    }
    let mut taken = l1.take_checks(2);
    taken.extend(l1.take_checks(9));
    let texts = taken.iter().map(|check| match check {
        Check::Mark(cell) => cell.text().to_owned(),
        Check::Entry(..) => String::new(),
    });
    assert!(texts.eq(cells.iter().map(|cell| cell.text().to_owned())));
}

#[tokio::test]
async fn when_checks_pile_up_nothing_is_trusted_rather_than_forgotten() {
    let l1 = watched();
    filled(&l1);
    let cell = l1.tag("numbers#t:red", 0);
    for _ in 0..4_096 {
        l1.changed(cell.text(), None);
    }
    assert_eq!(value(&l1), Some(10));
    l1.changed(cell.text(), None);
    assert!(matches!(look(&l1), Look::Suspect(_)));
}

#[tokio::test]
async fn when_l2_does_not_answer_a_check_of_a_mark_the_mark_is_unknown() {
    let l1 = watched();
    let now = l1.clock().now();
    let advance = l1.begin_advance(l1.namespace(), MarkChange::Soft, now);
    let mark = Mark { soft: NAMESPACE + 1, ..Mark::new(NAMESPACE) };
    l1.advanced(l1.namespace(), advance, mark, now);
    filled(&l1);
    l1.changed("numbers#ns", None);
    assert_eq!(value(&l1), Some(10), "it may be the echo");
    l1.doubt(l1.namespace());
    assert!(matches!(look(&l1), Look::Unknown(_)));
}

#[tokio::test]
async fn when_nobody_can_check_anything_nothing_is_trusted() {
    let l1 = watched();
    filled(&l1);
    l1.distrust();
    assert!(matches!(look(&l1), Look::Suspect(_)));
}
