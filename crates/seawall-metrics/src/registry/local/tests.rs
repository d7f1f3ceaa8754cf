use metrics::Label;

use super::*;

fn key(n: usize) -> Key {
    Key::from_parts("hits_total", vec![Label::new("n", n.to_string())])
}

fn cell() -> Arc<Line<CounterCell>> {
    let labels = super::super::Labels::new(std::iter::empty(), false);
    Line::new(&super::super::RawName::new("hits_total"), labels, CounterCell::new())
}

fn look_up(registry: u64, key: &Key, cell: &Arc<Line<CounterCell>>) -> Option<bool> {
    let mut asked = false;
    let found = get(
        registry,
        key,
        |tables| &mut tables.counters,
        || {
            asked = true;
            Some((cell.clone(), true))
        },
    );
    found.is_some_and(|handle| Arc::ptr_eq(&handle.0, cell)).then_some(asked)
}

#[test]
fn a_key_is_looked_up_twice_for_each_thread_and_recorder() {
    let (one, two) = (new_id(), new_id());
    let (a, b) = (cell(), cell());
    assert_eq!(look_up(one, &key(1), &a), Some(true));
    assert_eq!(look_up(one, &key(1), &a), Some(true));
    assert_eq!(look_up(one, &key(1), &a), Some(false));
    // Never the cell of another recorder, though the keys are equal.
    assert_eq!(look_up(two, &key(1), &b), Some(true));
    assert_eq!(look_up(one, &key(1), &a), Some(true));
    std::thread::scope(|scope| {
        scope.spawn(|| assert_eq!(look_up(one, &key(1), &a), Some(true)));
    });
}

#[test]
fn labels_in_another_order_or_at_another_address_are_the_same_key() {
    static LABELS: [Label; 2] =
        [Label::from_static_parts("a", "1"), Label::from_static_parts("b", "2")];
    let fixed = Key::from_static_parts("hits_total", &LABELS);
    let turned = vec![Label::new("b", "2".to_owned()), Label::new("a", "1".to_owned())];
    assert!(same(&fixed, &fixed.clone()));
    assert!(same(&fixed, &Key::from_parts("hits_total".to_owned(), turned)));
    assert!(!same(&fixed, &Key::from_static_parts("hits_total", &LABELS[..1])));
    assert!(!same(&fixed, &Key::from_static_parts("misses_total", &LABELS)));
}

#[test]
fn the_table_of_a_thread_is_bounded_and_lets_later_keys_in() {
    let registry = new_id();
    let cell = cell();
    for n in 0..MOST + MISSES {
        look_up(registry, &key(n), &cell);
        look_up(registry, &key(n), &cell);
        TABLES.with_borrow(|tables| assert!(tables.counters.entries.len() <= MOST));
    }
    TABLES.with_borrow(|tables| assert!(!tables.counters.entries.is_empty()));
    let late = key(MOST + MISSES - 1);
    assert_eq!(look_up(registry, &late, &cell), Some(false));
}

#[test]
fn keys_that_are_looked_up_once_take_no_place() {
    let (registry, cell) = (new_id(), cell());
    (0..4_000).for_each(|n| assert_eq!(look_up(registry, &key(n), &cell), Some(true)));
    TABLES.with_borrow(|tables| assert!(tables.counters.entries.len() < 200));
}

#[test]
fn a_look_up_from_inside_another_one_is_answered() {
    let registry = new_id();
    let cell = cell();
    TABLES.with_borrow_mut(|_| assert_eq!(look_up(registry, &key(1), &cell), Some(true)));
    assert_eq!(look_up(registry, &key(1), &cell), Some(true));
}
