//! The word for location and name.

use std::panic::Location;

use super::super::origin::Origin;

#[test]
fn an_origin_gives_back_what_it_was_made_with() {
    let here = Location::caller();
    let unnamed = Origin::new(here);
    assert_eq!((unnamed.name(), unnamed.location()), (None, here));
    for name in ["", "a", "a longer name"] {
        let named = Origin::named(here, name.into());
        assert_eq!((named.name(), named.location()), (Some(name), here));
    }
    assert_eq!(size_of::<Origin>(), size_of::<usize>());
}
