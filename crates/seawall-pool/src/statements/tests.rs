use proptest::prelude::*;

use super::Lru;

#[derive(Clone, Debug)]
enum Step {
    Get(u8),
    Insert(u8),
    Remove(u8),
    Clear,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0u8..12).prop_map(Step::Get),
        6 => (0u8..12).prop_map(Step::Insert),
        2 => (0u8..12).prop_map(Step::Remove),
        1 => Just(Step::Clear),
    ]
}

proptest! {
    /// Beside a list that is searched from end to end.
    #[test]
    fn it_does_what_a_list_in_order_of_use_does(
        bound in 1usize..6,
        steps in prop::collection::vec(step(), 0..200),
    ) {
        let mut lru = Lru::new(bound);
        let mut list: Vec<(u8, usize)> = Vec::new();
        for (value, step) in steps.into_iter().enumerate() {
            match step {
                Step::Get(key) => {
                    let at = list.iter().position(|(k, _)| *k == key);
                    let wanted = at.map(|at| {
                        let item = list.remove(at);
                        list.push(item);
                        item.1
                    });
                    prop_assert_eq!(lru.get(&key.to_string()).copied(), wanted);
                }
                Step::Insert(key) => {
                    let wanted = match list.iter().position(|(k, _)| *k == key) {
                        Some(at) => Some(list.remove(at).1),
                        None if list.len() == bound => Some(list.remove(0).1),
                        None => None,
                    };
                    list.push((key, value));
                    prop_assert_eq!(lru.insert(&key.to_string(), value), wanted);
                }
                Step::Remove(key) => {
                    let at = list.iter().position(|(k, _)| *k == key);
                    let wanted = at.map(|at| list.remove(at).1);
                    prop_assert_eq!(lru.remove(&key.to_string()), wanted);
                }
                Step::Clear => {
                    let mut gone = lru.take_all();
                    gone.sort_unstable();
                    let mut wanted: Vec<_> = list.drain(..).map(|(_, value)| value).collect();
                    wanted.sort_unstable();
                    prop_assert_eq!(gone, wanted);
                }
            }
            prop_assert_eq!(lru.table.len(), list.len());
            prop_assert!(lru.entries.len() <= bound + 1, "places are used again");
        }
    }
}
