use super::read;

#[test]
fn the_scans_of_a_plan_are_found_wherever_they_stand() {
    let json = r#"[{"Plan": {"Node Type": "Limit", "Total Cost": 1250.5, "Plan Rows": 10, "Plans": [
        {"Node Type": "Nested Loop", "Total Cost": 1250.0, "Plan Rows": 80, "Plans": [
            {"Node Type": "Index Scan", "Relation Name": "auction", "Total Cost": 8.3, "Plan Rows": 1},
            {"Node Type": "Seq Scan", "Relation Name": "bid", "Schema": "public", "Total Cost": 1241, "Plan Rows": 80}
        ]}
    ]}}]"#;
    let plan = read(json).unwrap();
    assert_eq!(plan.cost, 1250.5);
    let [scan] = plan.scans.as_slice() else { panic!("{:?}", plan.scans) };
    assert_eq!((scan.schema.as_str(), scan.table.as_str()), ("public", "bid"));
    assert_eq!((scan.cost, scan.rows), (1241.0, 80.0));
}

#[test]
fn what_is_no_plan_gives_none() {
    for json in ["", "[]", "{}", "[{\"Plan\": {}}]", "[{\"Plan\": {\"Total Cost\": \"much\"}}]"] {
        assert!(read(json).is_none(), "{json}");
    }
}
