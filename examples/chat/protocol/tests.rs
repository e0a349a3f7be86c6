use super::*;

#[test]
fn nicknames_are_tidied() {
    assert_eq!(tidy_nick("  Ada   Lovelace "), Ok("Ada Lovelace".into()));
    assert_eq!(tidy_nick("\u{1f980} <b>"), Ok("\u{1f980} <b>".into()));
    for bad in [
        "",
        "   ",
        "a\u{200b}b",
        "\u{202e}ada",
        "a\u{7}",
        &"x".repeat(25),
    ] {
        assert_eq!(tidy_nick(bad), Err(Refusal::BadNick), "{bad:?}");
    }
}

#[test]
fn rooms_are_tidied() {
    assert_eq!(tidy_room(" #Tea Time "), Ok("tea-time".into()));
    assert_eq!(tidy_room("ÄRGER_1"), Ok("ärger_1".into()));
    for bad in ["", "#", "a/b", "<b>", "a.b", &"x".repeat(33)] {
        assert_eq!(tidy_room(bad), Err(Refusal::BadRoom), "{bad:?}");
    }
}

#[test]
fn texts_are_counted_in_characters() {
    let longest = "\u{e9}".repeat(TEXT_LIMIT);
    assert_eq!(tidy_text(&longest), Ok(longest.as_str()));
    assert_eq!(tidy_text(&format!("{longest}x")), Err(Refusal::TextTooLong));
    assert_eq!(tidy_text(" \n "), Err(Refusal::EmptyText));
    assert_eq!(tidy_text("  indented\n\n"), Ok("  indented"));
}

#[test]
fn client_messages_are_told_apart_by_type() {
    let parse = |text| serde_json::from_str::<FromClient>(text);
    assert!(matches!(
        parse(r#"{"type":"join","room":"a","nick":"b"}"#),
        Ok(FromClient::Join { key: None, .. })
    ));
    assert!(matches!(
        parse(r#"{"type":"active"}"#),
        Ok(FromClient::Active)
    ));
    for bad in [
        "",
        "[]",
        "{}",
        r#"{"type":"say"}"#,
        r#"{"type":"fly"}"#,
        r#"{"type":"say","text":1}"#,
    ] {
        assert!(parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn server_messages_have_a_type() {
    let said = Said {
        id: 1,
        at: 2,
        nick: "\"<b>".into(),
        text: "a\nb".into(),
    };
    assert_eq!(
        FromServer::Said(&said).frame().as_str(),
        r#"{"type":"said","id":1,"at":2,"nick":"\"<b>","text":"a\nb"}"#
    );
    assert_eq!(FromServer::Pong.frame().as_str(), r#"{"type":"pong"}"#);
    assert!(
        Refusal::NickTaken
            .frame()
            .contains(r#""code":"nick_taken""#)
    );
}
