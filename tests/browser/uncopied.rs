//! A new key that nobody has copied yet: nothing on the page takes it away unasked.

use crate::person::Person;
use crate::world::World;

fn with_a_new_key(world: &World) -> (Person, String) {
    let scene = world.make().org().admin();
    let person = world.signed_in(scene.an_admin());
    person.click("Generate API Key");
    person.see("It won't be shown again.");
    let key = person.text("#new-key code");
    (person, key)
}

#[test]
fn other_changes_leave_it_where_it_is() {
    let world = World::start();
    let (person, key) = with_a_new_key(&world);
    let menu = format!("More actions for {}…", &key[..12]);
    person.click(&menu);
    person.click("Deactivate");
    person.see("API key is deactivated.");
    assert_eq!((person.count("#new-key"), person.text("#new-key code")), (1, key));
    person.click("Copy");
    person.see_button("Copied");
    person.click(&menu);
    person.click("Activate");
    person.see("API key is active again.");
    assert_eq!(person.count("#new-key"), 0, "it has been copied");
}

#[test]
fn another_new_key_takes_its_place_only_when_told_so() {
    let world = World::start();
    let (person, key) = with_a_new_key(&world);
    person.click("Generate Test Key");
    person.answer(false);
    assert_eq!(person.text("#new-key code"), key);
    person.click("Generate Test Key");
    person.answer(true);
    person.until("the other key", || match person.text("#new-key code") {
        text if text.starts_with("lk_test_") => Ok(()),
        text => Err(crate::driver::Failed(text)),
    });
}
