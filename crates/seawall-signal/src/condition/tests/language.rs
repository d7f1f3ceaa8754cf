//! The examples of docs/language.md.

use super::super::Condition;

const PAGE: &str = include_str!("../../../docs/language.md");

/// The lines of all blocks of this kind.
fn block(kind: &str) -> Vec<&'static str> {
    let fence = format!("```{kind}\n");
    PAGE.split(&fence)
        .skip(1)
        .flat_map(|rest| rest.split("```").next().unwrap_or_default().lines())
        .collect()
}

fn pairs(kind: &str) -> Vec<(&'static str, &'static str)> {
    block(kind).into_iter().map(|line| line.split_once("  ->  ").expect(line)).collect()
}

#[test]
fn every_example_of_the_page_does_what_the_page_says() {
    let plain = block("condition");
    assert!(plain.len() > 10);
    for text in plain {
        let condition = Condition::parse(text).unwrap_or_else(|error| panic!("{}", error.render()));
        assert_eq!(condition.to_string(), text);
    }
    assert!(pairs("canonical").len() > 3);
    for (text, canonical) in pairs("canonical") {
        assert_eq!(Condition::parse(text).expect(text).to_string(), canonical);
    }
    assert!(pairs("refused").len() > 8);
    for (text, says) in pairs("refused") {
        let error = Condition::parse(text).expect_err(text).to_string();
        assert!(error.starts_with(says), "{text}: {error}");
    }
}

#[test]
fn the_picture_of_an_error_is_the_one_that_is_rendered() {
    let text = "p95(http_request_duration) > 80%";
    let picture = Condition::parse(text).expect_err(text).render();
    assert!(PAGE.contains(&format!("```text\n{picture}\n```")), "{picture}");
}

#[test]
fn every_unit_of_the_table_is_one_and_stands_in_its_row() {
    let rows = PAGE.split("| written | unit | base |").nth(1).expect("table");
    let rows = rows.split("\n\n").next().expect("its end");
    let mut seen = 0;
    for row in rows.lines().filter(|row| row.starts_with("| `")) {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        for unit in cells[1].split('`').filter(|unit| !unit.trim().is_empty()) {
            let condition = Condition::parse(&format!("x > 3{unit}")).expect(unit);
            let literal = condition.comparisons()[0].literal().expect(unit);
            let named =
                literal.unit().map_or("none: they multiply".to_owned(), |it| it.to_string());
            assert_eq!(named, cells[2], "{unit}");
            seen += 1;
        }
    }
    // All but the empty one.
    assert_eq!(seen, 36);
}
