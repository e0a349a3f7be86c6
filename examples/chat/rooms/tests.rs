use super::*;
use serde_json::Value;

/// A client whose frames the test reads.
struct Client {
    id: ClientId,
    outbox: Outbox,
    inbox: Inbox,
}

impl Client {
    fn new(id: u64) -> Client {
        Client::with_length(id, 1000)
    }

    fn with_length(id: u64, length: usize) -> Client {
        let (outbox, inbox) = Outbox::new(length);
        Client {
            id: ClientId(id),
            outbox,
            inbox,
        }
    }

    fn join(&self, rooms: &mut Rooms, room: &str, nick: &str) -> Result<Place, Refusal> {
        rooms.join(self.id, room, nick, None, &self.outbox)
    }

    fn join_as(&self, rooms: &mut Rooms, nick: &str, key: &str) -> Result<Place, Refusal> {
        rooms.join(self.id, "r", nick, Some(key.into()), &self.outbox)
    }

    /// Everything that came since the last call.
    fn frames(&mut self) -> Vec<Value> {
        std::iter::from_fn(|| self.inbox.frames.try_recv().ok())
            .map(|frame| serde_json::from_str(&frame).expect("the server speaks JSON"))
            .collect()
    }

    /// The types of the frames that came since the last call.
    fn types(&mut self) -> Vec<String> {
        self.frames()
            .iter()
            .map(|frame| {
                frame["type"]
                    .as_str()
                    .expect("every frame has a type")
                    .to_string()
            })
            .collect()
    }
}

#[test]
fn everyone_in_the_room_hears_what_is_said() {
    let mut rooms = Rooms::default();
    let [mut ada, mut bob, mut eve] = [1, 2, 3].map(Client::new);
    ada.join(&mut rooms, "tea", "Ada").unwrap();
    bob.join(&mut rooms, "#Tea", "Bob").unwrap();
    eve.join(&mut rooms, "coffee", "Eve").unwrap();
    rooms.say(ada.id, "hello <b>").unwrap();

    assert_eq!(ada.types(), ["welcome", "joined", "said"]);
    let heard = bob.frames();
    assert_eq!(heard[0]["members"][0]["nick"], "Ada");
    assert_eq!(heard[1]["text"], "hello <b>");
    assert_eq!(eve.types(), ["welcome"]);
}

#[test]
fn newcomers_see_the_last_messages_only() {
    let mut rooms = Rooms::default();
    let [ada, mut bob] = [1, 2].map(Client::new);
    ada.join(&mut rooms, "r", "Ada").unwrap();
    for n in 0..HISTORY + 20 {
        rooms.say(ada.id, &n.to_string()).unwrap();
    }
    bob.join(&mut rooms, "r", "Bob").unwrap();
    let welcome = bob.frames().remove(0);
    let history = welcome["history"].as_array().unwrap();
    assert_eq!(history.len(), HISTORY);
    assert_eq!(history[0]["text"], "20");
}

#[test]
fn a_nickname_belongs_to_one_member_of_a_room() {
    let mut rooms = Rooms::default();
    let [ada, bob, eve] = [1, 2, 3].map(Client::new);
    ada.join(&mut rooms, "r", "Ada").unwrap();
    assert_eq!(bob.join(&mut rooms, "r", "aDA"), Err(Refusal::NickTaken));
    bob.join(&mut rooms, "r", "Bob").unwrap();
    assert_eq!(rooms.rename(bob.id, "ADA"), Err(Refusal::NickTaken));
    eve.join(&mut rooms, "elsewhere", "Ada").unwrap();
    // One's own name in another case is free, and a name is free again after its owner left.
    rooms.rename(ada.id, "ADA").unwrap();
    rooms.leave(ada.id, "left");
    rooms.rename(bob.id, "Ada").unwrap();
}

#[test]
fn a_failed_join_changes_nothing() {
    let mut rooms = Rooms::default();
    let [mut ada, bob] = [1, 2].map(Client::new);
    ada.join(&mut rooms, "a", "Ada").unwrap();
    bob.join(&mut rooms, "b", "Ada").unwrap();
    assert_eq!(ada.join(&mut rooms, "b", "ada"), Err(Refusal::NickTaken));
    assert_eq!(ada.join(&mut rooms, "b/", "ada"), Err(Refusal::BadRoom));
    rooms.say(ada.id, "still here").unwrap();
    assert_eq!(ada.types(), ["welcome", "said"]);
}

#[test]
fn only_the_same_key_takes_a_connection_over() {
    let mut rooms = Rooms::default();
    let [mut old, mut new, other] = [1, 2, 3].map(Client::new);
    old.join_as(&mut rooms, "Ada", "secret").unwrap();
    assert_eq!(
        other.join_as(&mut rooms, "Ada", "guess"),
        Err(Refusal::NickTaken)
    );
    let place = new.join_as(&mut rooms, "Ada", "secret").unwrap();
    assert_eq!(place.members, 1);
    assert_eq!(old.inbox.end.try_recv(), Ok(End::Replaced));
    // What the old connection's end still does has no effect.
    assert_eq!(rooms.leave(old.id, "left"), None);
    rooms.say(new.id, "me again").unwrap();
    assert_eq!(new.types(), ["welcome", "said"]);
}

#[test]
fn a_full_outbox_ends_its_client_and_nobody_else() {
    let mut rooms = Rooms::default();
    let (mut fast, mut slow) = (Client::new(1), Client::with_length(2, 3));
    fast.join(&mut rooms, "r", "Fast").unwrap();
    slow.join(&mut rooms, "r", "Slow").unwrap();
    for n in 0..10 {
        rooms.say(fast.id, &n.to_string()).unwrap();
    }
    assert_eq!(slow.inbox.end.try_recv(), Ok(End::TooSlow));
    assert_eq!(slow.types(), ["welcome", "said", "said"]);
    assert_eq!(rooms.say(slow.id, "?"), Err(Refusal::NotJoined));

    let heard = fast.frames();
    let said = heard.iter().filter(|frame| frame["type"] == "said").count();
    assert_eq!(said, 10);
    let left = heard.iter().find(|frame| frame["type"] == "left").unwrap();
    assert_eq!(left["nick"], "Slow");
}

#[test]
fn a_room_full_of_slow_clients_empties_at_once() {
    let mut rooms = Rooms::default();
    let slow: Vec<_> = (0..50).map(|id| Client::with_length(id, 51)).collect();
    for client in &slow {
        client
            .join(&mut rooms, "r", &format!("n{}", client.id.0))
            .unwrap();
    }
    // The first has a welcome and 49 arrivals in its queue, the last one only a welcome.
    for _ in 0..60 {
        let _ = rooms.say(slow[49].id, "x");
    }
    assert!(rooms.places.is_empty());
    assert!(rooms.rooms["r"].empty_since.is_some());
}

#[test]
fn presence_is_told_when_it_changes() {
    let mut rooms = Rooms::default();
    let [ada, mut bob] = [1, 2].map(Client::new);
    ada.join(&mut rooms, "r", "Ada").unwrap();
    bob.join(&mut rooms, "r", "Bob").unwrap();
    rooms.set_away(ada.id, true);
    rooms.set_away(ada.id, true);
    rooms.set_away(ada.id, false);
    assert_eq!(bob.types(), ["welcome", "presence", "presence"]);
}

#[test]
fn empty_rooms_are_remembered_for_a_while() {
    let mut rooms = Rooms::default();
    let [ada, mut bob] = [1, 2].map(Client::new);
    ada.join(&mut rooms, "r", "Ada").unwrap();
    rooms.say(ada.id, "for later").unwrap();
    rooms.leave(ada.id, "left");
    rooms.sweep(Instant::now());
    bob.join(&mut rooms, "r", "Bob").unwrap();
    assert_eq!(bob.frames()[0]["history"][0]["text"], "for later");
    rooms.sweep(Instant::now() + 2 * EMPTY_FOR);
    assert_eq!(rooms.rooms.len(), 1, "a room with members stays");
    rooms.leave(bob.id, "left");
    rooms.sweep(Instant::now() + 2 * EMPTY_FOR);
    assert!(rooms.rooms.is_empty());
}

#[test]
fn the_number_of_rooms_is_bounded() {
    let mut rooms = Rooms::default();
    let ada = Client::new(1);
    for n in 0..ROOMS {
        ada.join(&mut rooms, &n.to_string(), "Ada").unwrap();
    }
    assert_eq!(
        ada.join(&mut rooms, "more", "Ada"),
        Err(Refusal::TooManyRooms)
    );
    ada.join(&mut rooms, "1", "Ada").unwrap();
}
