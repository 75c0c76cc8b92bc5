use super::*;

fn refused(text: &str) -> String {
    parse(text).expect_err(text).to_string()
}

#[test]
fn faults_are_told_in_the_words_of_prometheus() {
    for (text, want) in [
        ("", "unknown position: parse error: no expression found in input"),
        ("foo bar", "1:5: parse error: unexpected identifier \"bar\""),
        ("1 +", "1:4: parse error: unexpected end of input"),
        ("sum(", "1:5: parse error: unclosed left parenthesis"),
        ("foo{", "1:5: parse error: unexpected end of input inside braces"),
        ("{}", "1:1: parse error: vector selector must contain at least one non-empty matcher"),
        (
            "rate(foo)",
            "1:6: parse error: expected type range vector in call to function \"rate\", got instant vector",
        ),
        ("nope(foo)", "1:1: parse error: unknown function with name \"nope\""),
        ("foo[0s]", "1:5: parse error: duration must be greater than 0"),
        ("(foo)[5m]", "1:6: parse error: ranges only allowed for vector selectors"),
        ("foo offset 5m offset 1m", "1:1: parse error: offset may not be set multiple times"),
        (
            "sum(foo) offset 5m",
            "1:1: parse error: offset modifier must be preceded by an instant vector selector or range vector selector or a subquery",
        ),
        ("foo{__name__=\"bar\"}", "1:1: parse error: metric name must not be set twice: \"foo\" or \"bar\""),
        (
            "sum by foo (bar)",
            "1:8: parse error: unexpected identifier \"foo\" in grouping opts, expected \"(\"",
        ),
        (
            "topk(foo)",
            "1:1: parse error: wrong number of arguments for aggregate expression provided, expected 2, got 1",
        ),
        ("foo and 1", "1:1: parse error: set operator \"and\" not allowed in binary scalar expression"),
        ("sum(abs(a b))", "1:11: parse error: unexpected identifier \"b\" in aggregation"),
        ("foo{a=b}", "1:7: parse error: unexpected identifier \"b\" in label matching, expected string"),
        ("foo)", "1:5: parse error: unexpected right parenthesis ')'"),
        ("a\n  + 5mm", "2:5: parse error: bad number or duration syntax: \"5mm\""),
        ("abs(1, 2)", "1:1: parse error: expected 1 argument(s) in call to \"abs\", got 2"),
        (
            "foo == on(a) group_left(a) bar",
            "1:5: parse error: label \"a\" must not occur in ON and GROUP clause at once",
        ),
        (
            "\"a\" + 1",
            "1:1: parse error: binary expression must contain only scalar and instant vector types",
        ),
        ("foo @ nope", "1:7: parse error: unexpected identifier \"nope\" in @, expected timestamp"),
        ("foo[5m", "1:7: parse error: unclosed left bracket"),
        ("foo[", "1:5: parse error: unexpected end of input in duration expression"),
        ("foo{a=~\"(\"}", "1:5: parse error: error parsing regexp: missing closing ): `^(?s:()$`"),
        ("1 < 2", "1:3: parse error: comparisons between scalars must use BOOL modifier"),
    ] {
        assert_eq!(refused(text), want, "{text}");
    }
}

#[test]
fn operators_bind_as_in_prometheus() {
    fn shape(expr: &ast::Expr) -> String {
        match &expr.node {
            ast::Node::Number(value) => value.to_string(),
            ast::Node::Negate(inner) => format!("-{}", shape(inner)),
            ast::Node::Binary(b) => format!("({}{}{})", shape(&b.lhs), b.op.as_str(), shape(&b.rhs)),
            ast::Node::Selector(selector) => selector.name.as_deref().unwrap_or("{}").to_owned(),
            ast::Node::Paren(inner) => shape(inner),
            other => format!("{other:?}"),
        }
    }
    for (text, want) in [
        ("1 + 2 * 3", "(1+(2*3))"),
        ("2 ^ 3 ^ 2", "(2^(3^2))"),
        ("-2 ^ 2", "-(2^2)"),
        ("-a * b", "(-a*b)"),
        ("2 ^ -1 * 3", "((2^-1)*3)"),
        ("a or b and c", "(aor(bandc))"),
        ("a - b - c", "((a-b)-c)"),
        ("a == bool b + 1", "(a==(b+1))"),
        ("a atan2 b / c", "((aatan2b)/c)"),
        ("1h + 5m", "(3600+300)"),
        ("sum + by + offset", "((sum+by)+offset)"),
    ] {
        let expr = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(shape(&expr), want, "{text}");
    }
}

#[test]
fn depth_is_bounded_whatever_makes_it() {
    let deep = |n: usize| "(".repeat(n) + "1" + &")".repeat(n);
    assert!(parse(&deep(MAX_NESTING - 1)).is_ok());
    assert!(refused(&deep(100_000)).contains("levels deep"));
    assert!(refused(&("1".to_owned() + &" + 1".repeat(100_000))).contains("levels deep"));
    assert!(refused(&("-".repeat(100_000) + "a")).contains("levels deep"));
    assert!(refused(&format!("a[{}1{}]", "(".repeat(100_000), ")".repeat(100_000))).contains("levels deep"));
    assert!(refused(&("2".to_owned() + &" ^ 2".repeat(100_000))).contains("levels deep"));
    assert!(refused(&" ".repeat(MAX_TEXT + 1)).contains("more than"));
}

#[test]
fn selectors_alone_take_no_modifiers() {
    assert_eq!(parse_selector("up{job=\"x\"}").expect("it is one").len(), 2);
    assert_eq!(
        parse_selector("up offset 5m").expect_err("it has one").to_string(),
        "1:4: parse error: unexpected <offset>"
    );
    assert!(parse_selector("sum(up)").is_err());
}

proptest::proptest! {
    #[test]
    fn arbitrary_text_is_parsed_or_refused(
        text in "\\PC{0,40}|[a-f{}\\[\\]()=~!\"'`\\\\,.0-9 @:+*^#\n-]{0,30}|((sum|rate|by|on|offset|5m|a|\\(|\\)|\\[|\\]|,|\\+|@) ?){0,12}",
    ) {
        if let Err(error) = parse(&text) {
            proptest::prop_assert!(!error.reason.is_empty());
        }
    }
}

#[test]
fn a_list_of_a_thousand_instances_is_one_pattern() {
    let list = |count: usize| {
        let names: Vec<String> = (0..count).map(|i| format!("host-{i:05}.example.org:9100")).collect();
        format!("up{{instance=~\"{}\"}}", names.join("|"))
    };
    let matchers = parse_selector(&list(1000)).expect("it is short enough");
    assert!(matchers[0].accepts("host-00999.example.org:9100"));
    assert!(!matchers[0].accepts("host-01000.example.org:9100"));
    assert!(parse_selector(&list(10_000)).is_err());
}
