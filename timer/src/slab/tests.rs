use super::*;

fn insert(slab: &mut Slab) -> Key {
    slab.insert(Ticks(1), Waker::noop().clone())
}

#[test]
fn a_key_finds_nothing_though_the_low_half_of_the_generation_comes_again() {
    let mut slab = Slab::new();
    let old = insert(&mut slab);
    slab.remove(old.index());
    slab.inserted = 1 << 32;
    let new = insert(&mut slab);
    assert_eq!((new.index, new.generation), (old.index, old.generation));
    assert_eq!((slab.find(old), slab.find(new)), (None, Some(new.index())));
}

#[test]
fn vacant_pages_are_filled_before_one_is_added() {
    let mut slab = Slab::new();
    let keys: Vec<Key> = (0..4 * PAGE).map(|_| insert(&mut slab)).collect();
    // One free node in each page, freed and filled in different orders.
    for order in [[0, 1, 2, 3], [3, 1, 0, 2], [2, 3, 1, 0]] {
        for page in order {
            let at = keys[(page * PAGE) as usize].index();
            drop(slab.remove(at));
        }
        for _ in order {
            insert(&mut slab);
        }
        assert_eq!((slab.pages(), slab.vacant), (4, NIL));
    }
    // All but one give their memory back, and are used again before others.
    for key in keys {
        drop(slab.remove(key.index()));
    }
    assert_eq!((slab.pages(), slab.len()), (1, 0));
    for _ in 0..4 * PAGE {
        insert(&mut slab);
    }
    assert_eq!((slab.pages(), slab.pages.len()), (4, 4));
}
