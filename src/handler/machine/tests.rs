use super::*;
use crate::handler::state::WallMicros;

const S: WallMicros = 1_000_000;
const ME: i64 = 5;

fn node(number: i64) -> Node {
    Node::new("n", number, 0)
}

/// A state with these participants, waiting and spare nodes, all of which had their heartbeat 1 s ago.
fn state(participants: &[i64], waiting: &[i64], spares: &[i64]) -> State {
    let mut state = State::default();
    state.participants.extend(participants.iter().map(|number| (node(*number), 0)));
    state.wait_list.extend(waiting.iter().map(|number| node(*number)));
    state.redundancy_list.extend(spares.iter().map(|number| node(*number)));
    let beats: Vec<_> = state.nodes().into_iter().map(|node| (node.clone(), 99 * S)).collect();
    state.last_heartbeats.extend(beats);
    state
}

/// `state` with its round completed, and nobody moved.
fn completed(mut state: State) -> State {
    let settings = Settings { losers_become_spares: false, ..settings() };
    complete(&mut state, &context(&node(ME), &settings));
    state
}

fn context<'a>(node: &'a Node, settings: &'a Settings) -> Context<'a> {
    let now = Now { mono: Duration::from_secs(100), wall: 100 * S };
    Context { node, settings, has_spares: true, now }
}

/// Two to three nodes.
fn settings() -> Settings {
    Settings::new(2, 3)
}

/// What the operation decides at second 100 of both clocks.
fn decide(operation: impl Fn(&View<'_>) -> Action, state: &State, change: impl Fn(&mut View<'_>)) -> Action {
    let settings = settings();
    let node = node(ME);
    let context = context(&node, &settings);
    let mut view = View { state, context, deadline: Duration::from_secs(600), last_call_over: false };
    change(&mut view);
    operation(&view)
}

fn joins(state: &State) -> Action {
    decide(join, state, |_| {})
}

/// The join's deadline was this long ago.
fn joins_late(state: &State, by: Duration) -> Action {
    decide(join, state, |view| view.deadline = Duration::from_secs(100) - by)
}

fn done(action: Action, state: &State) -> State {
    let mut state = state.clone();
    apply(action, &mut state, &context(&node(ME), &settings()));
    state
}

#[test]
fn nobody_joins_a_closed_run() {
    for state in [state(&[], &[], &[]), state(&[ME], &[], &[]), completed(state(&[1, ME], &[], &[]))] {
        assert_eq!(joins(&State { closed: true, ..state }), Action::Fail(Failure::Closed));
    }
    let spare = State { closed: true, ..completed(state(&[1, 2, 3], &[], &[ME])) };
    assert_eq!(joins(&spare), Action::Fail(Failure::ClosedWhileSpare));
}

#[test]
fn a_spare_waits_for_room_without_a_deadline() {
    let full = completed(state(&[1, 2, 3], &[], &[ME]));
    assert_eq!(joins_late(&full, Duration::from_secs(50)), Action::Wait);
    let mut due = full;
    due.last_heartbeats.insert(node(ME), 95 * S);
    assert_eq!(joins_late(&due, Duration::from_secs(50)), Action::KeepAlive);

    let room = completed(state(&[1, 2], &[], &[ME]));
    let action = joins_late(&room, Duration::from_secs(50));
    assert_eq!(action, Action::RemoveFromRedundancyList);
    let after = done(action, &room);
    assert!(!after.lists(&node(ME)) && !after.last_heartbeats.contains_key(&node(ME)));
    assert_eq!(joins(&after), Action::AddToWaitList);
    // The same where the room is that of the next round.
    assert_eq!(joins(&state(&[1], &[], &[ME])), Action::RemoveFromRedundancyList);
}

#[test]
fn a_participant_of_a_complete_round_has_joined() {
    let joined = completed(state(&[1, ME], &[2], &[]));
    assert_eq!(joins(&joined), Action::Finish);
    assert_eq!(joins_late(&joined, Duration::from_secs(50)), Action::Finish);
}

#[test]
fn a_late_join_is_taken_back_for_a_while() {
    let soon = Duration::from_secs(5);
    let too_late = Duration::from_micros(5_000_001);
    let (participant, waiting) = (state(&[1, ME], &[], &[]), completed(state(&[1, 2], &[ME], &[])));
    assert_eq!(joins_late(&participant, soon), Action::RemoveFromParticipants);
    assert_eq!(joins_late(&waiting, soon), Action::RemoveFromWaitList);
    assert!(!done(Action::RemoveFromWaitList, &waiting).last_heartbeats.contains_key(&node(ME)));
    for state in [&participant, &waiting] {
        assert_eq!(joins_late(state, too_late), Action::Fail(Failure::Timeout));
    }
    for by in [soon, too_late] {
        assert_eq!(joins_late(&state(&[1], &[], &[]), by), Action::Fail(Failure::Timeout));
    }
    // At the deadline it is not late yet.
    assert_eq!(joins_late(&state(&[1], &[], &[]), Duration::ZERO), Action::AddToParticipants);
}

#[test]
fn a_complete_round_is_not_joined_but_waited_for() {
    let room = completed(state(&[1, 2], &[], &[]));
    assert_eq!(joins(&room), Action::AddToWaitList);
    let waiting = done(Action::AddToWaitList, &room);
    assert_eq!(waiting.last_heartbeats[&node(ME)], 100 * S);
    assert_eq!(waiting.participants, room.participants);
    assert_eq!(joins(&waiting), Action::Wait);

    let full = completed(state(&[1, 2, 3], &[], &[]));
    assert_eq!(joins(&full), Action::AddToRedundancyList);
    let spare = done(Action::AddToRedundancyList, &full);
    assert!(spare.redundancy_list.contains(&node(ME)) && spare.last_heartbeats[&node(ME)] == 100 * S);
    // Who was waiting before it was full does too; in PyTorch, goes on waiting.
    let lost = completed(state(&[1, 2, 3], &[ME], &[]));
    assert_eq!(joins(&lost), Action::AddToRedundancyList);
    assert!(done(Action::AddToRedundancyList, &lost).wait_list.is_empty());
    let settings = Settings { losers_become_spares: false, ..settings() };
    let strict = |view: &View<'_>| join(&View { context: context(view.context.node, &settings), ..*view });
    assert_eq!(decide(strict, &lost, |_| {}), Action::Wait);
    // Old dialects have no spare nodes.
    assert_eq!(decide(join, &full, |view| view.context.has_spares = false), Action::Wait);
}

#[test]
fn joining_sets_the_last_call_and_completes() {
    let empty = state(&[], &[], &[]);
    assert_eq!(joins(&empty), Action::AddToParticipants);
    let first = done(Action::AddToParticipants, &empty);
    assert_eq!((first.deadline, first.complete, first.participants[&node(ME)]), (None, false, 0));

    let second = done(Action::AddToParticipants, &state(&[1], &[ME], &[]));
    assert_eq!((second.deadline, second.complete), (Some(130 * S), false));
    assert!(second.wait_list.is_empty());

    let called = State { deadline: Some(7), round: 4, ..state(&[1, 9], &[], &[]) };
    let third = done(Action::AddToParticipants, &called);
    assert_eq!((third.deadline, third.complete), (None, true));
    assert_eq!([1, ME, 9].map(|number| third.participants[&node(number)]), [0, 1, 2]);
    assert_eq!(third.round_size, Some(RoundSize { round: 4, size: 3 }));
}

#[test]
fn who_does_not_get_into_a_full_round_is_spare() {
    let mut settings = settings();
    let filled = |settings: &Settings, has_spares| {
        let mut state = state(&[1, 2], &[7, ME, 8], &[9]);
        let node = node(ME);
        let context = Context { has_spares, ..context(&node, settings) };
        apply(Action::AddToParticipants, &mut state, &context);
        assert!(state.complete);
        (state.wait_list.len(), state.redundancy_list.len())
    };
    assert_eq!(filled(&settings, true), (0, 3));
    assert_eq!(filled(&settings, false), (2, 1));
    settings.losers_become_spares = false;
    assert_eq!(filled(&settings, true), (2, 1));
    // A round that is not full leaves room for the next.
    let mut called = State { deadline: Some(7), ..state(&[1, ME], &[7], &[]) };
    apply(Action::Complete, &mut called, &context(&node(ME), &Settings::new(2, 3)));
    assert_eq!((called.complete, called.wait_list.len()), (true, 1));
}

#[test]
fn the_deadline_does_not_move_when_more_join() {
    let settings = Settings::new(2, 9);
    let mut state = State { deadline: Some(7), ..state(&[1, 2], &[], &[]) };
    apply(Action::AddToParticipants, &mut state, &context(&node(ME), &settings));
    assert_eq!((state.deadline, state.complete), (Some(7), false));
}

#[test]
fn participants_complete_the_round_after_the_last_call() {
    let over = |state: &State| decide(join, state, |view| view.last_call_over = true);
    let called = State { deadline: Some(7), ..state(&[1, ME], &[], &[]) };
    assert_eq!(joins(&called), Action::Wait);
    assert_eq!(over(&called), Action::Complete);
    // Not without a deadline, with too few, with too many, or from outside.
    assert_eq!(over(&state(&[1, ME], &[], &[])), Action::Wait);
    assert_eq!(over(&State { deadline: Some(7), ..state(&[ME], &[], &[]) }), Action::Wait);
    assert_eq!(over(&State { deadline: Some(7), ..state(&[1, 2, 3, ME], &[], &[]) }), Action::Wait);
    assert_eq!(over(&State { deadline: Some(7), ..state(&[1, 2], &[], &[]) }), Action::AddToParticipants);
}

#[test]
fn leaving_may_begin_the_next_round() {
    let late = Duration::from_secs(50);
    let leaves = |state: &State| decide(exit, state, |_| {});
    assert_eq!(leaves(&state(&[1], &[ME], &[])), Action::Finish);
    let two = completed(state(&[1, ME], &[2], &[]));
    assert_eq!(leaves(&two), Action::RemoveFromParticipants);
    assert_eq!(decide(exit, &two, |view| view.deadline = late), Action::Fail(Failure::Timeout));
    let one = done(Action::RemoveFromParticipants, &two);
    assert_eq!((one.round, one.complete, one.participants.len(), one.world_size()), (0, true, 1, 2));
    assert!(!one.last_heartbeats.contains_key(&node(ME)));

    let last = done(Action::RemoveFromParticipants, &completed(state(&[ME], &[2], &[])));
    assert_eq!((last.round, last.complete, last.wait_list.len(), last.round_size), (1, false, 1, None));
}

#[test]
fn too_few_participants_call_off_the_last_call() {
    let mut state = State { deadline: Some(7), ..state(&[1, 2, 3], &[4], &[]) };
    remove(&mut state, [node(3)].iter(), &settings());
    assert_eq!(state.deadline, Some(7));
    remove(&mut state, [node(4)].iter(), &settings());
    assert_eq!((state.deadline, state.wait_list.len()), (Some(7), 0));
    remove(&mut state, [node(2)].iter(), &settings());
    assert_eq!((state.deadline, state.round, state.complete), (None, 0, false));
    assert_eq!(state.nodes(), [&node(1)].into());
}

#[test]
fn a_run_is_closed_once() {
    let open = state(&[1], &[], &[]);
    assert_eq!(decide(close, &open, |_| {}), Action::Close);
    let closed = done(Action::Close, &open);
    assert_eq!(closed, State { closed: true, ..open.clone() });
    assert_eq!(decide(close, &closed, |_| {}), Action::Finish);
    let late = Duration::from_secs(50);
    assert_eq!(decide(close, &open, |view| view.deadline = late), Action::Fail(Failure::Timeout));
    assert_eq!(decide(close, &closed, |view| view.deadline = late), Action::Finish);
}

#[test]
fn heartbeats_are_written_when_due() {
    let with_beat = |beat| {
        let mut state = state(&[ME], &[], &[]);
        state.last_heartbeats.insert(node(ME), beat);
        state
    };
    assert_eq!(decide(keep_alive, &with_beat(95 * S + 1), |_| {}), Action::Finish);
    assert_eq!(decide(keep_alive, &with_beat(95 * S), |_| {}), Action::KeepAlive);
    // Our clock was set back by an hour: the next heartbeat must not wait that long.
    assert_eq!(decide(keep_alive, &with_beat(3700 * S), |_| {}), Action::KeepAlive);
    let late = Duration::from_secs(50);
    assert_eq!(decide(keep_alive, &with_beat(95 * S), |view| view.deadline = late), Action::Fail(Failure::Timeout));
    assert_eq!(done(Action::KeepAlive, &with_beat(7)).last_heartbeats[&node(ME)], 100 * S);
    // Who is in no list beats no heart; who lost its heartbeat gets a new one.
    assert_eq!(decide(keep_alive, &state(&[1], &[], &[]), |_| {}), Action::Finish);
    let mut lost = state(&[ME], &[], &[]);
    lost.last_heartbeats.clear();
    assert_eq!(decide(keep_alive, &lost, |_| {}), Action::KeepAlive);
}

#[test]
fn doing_nothing_changes_nothing() {
    let before = completed(state(&[1, ME], &[2], &[3]));
    for action in [Action::Finish, Action::Wait, Action::Fail(Failure::Timeout)] {
        assert_eq!(done(action, &before), before);
    }
}
