"""One group of works: its gateways, each checked and then measured in turn."""

import statistics
import sys
from dataclasses import dataclass, field

import edgeway
import idle
import load
import proof
from keys import Keys
from peers import MARK
from processes import Trouble, cores, free_ports
from works import Run

FORGIVEN = 0.01
"""Share of requests that Redis may have been too slow for, before a round says nothing about counting there."""

STILL = 3
"""Rounds are enough for memory, which hardly differs between them."""


@dataclass
class Entry:
    """A gateway at a work."""

    peer: object
    run: Run
    server: object = None
    rounds: list = field(default_factory=list)
    """Figures; None for a round that was lost."""
    lost: str = ""
    """Why it is out."""


class Contest:
    """All entries of a group."""

    def __init__(self, works, peers, asked, servers, scene):
        self.works, self.asked, self.servers, self.scene = works, asked, servers, scene
        self.entries = [
            Entry(peer, run)
            for work in works
            for run in [self.staged(work)]
            for peer in peers
            if peer.name in work.peers
        ]

    def staged(self, work):
        """What all gateways of a work have in common."""
        scene = self.scene
        run = Run(work, scene.folder, 0, 0, scene.upstreams, scene.certificate)
        if work.limit == "exact":
            run.redis = scene.redis.port
        if work.algorithm:
            run.keys = Keys(work.algorithm, scene.folder)
            run.port, run.spare = free_ports(2)
            token = run.keys.token(self.asked.edgeway.resolve(), edgeway.config(run))
            run.tokens = list(run.keys.more(token, work.tokens))
        return run

    def start(self, entry):
        """Start a gateway and check that it does the work; else say why it is left out."""
        port, spare = free_ports(2)
        entry.run = Run(**{**vars(entry.run), "port": port, "spare": spare})
        label = f"{entry.peer.name}-{entry.run.work.name}"
        command, environment = entry.peer.command(entry.run), getattr(entry.peer, "environment", None)
        try:
            entry.server = self.servers.begin(label, command, cores()[0], self.scene.folder, environment)
            entry.server.wait_for(port)
            proof.check(entry.peer, entry.server, entry.run)
        except Trouble as trouble:
            self.lose(entry, trouble)

    def lose(self, entry, trouble):
        """It is out of this work."""
        entry.lost = str(trouble)
        print(f"left out of {entry.run.work.name}, {entry.peer.name}: {trouble}", file=sys.stderr)
        self.end(entry)

    def end(self, entry):
        """End its server."""
        if entry.server:
            self.servers.end(entry.server)
            entry.server = None

    def measure(self):
        """The first round warms caches and connections up, and is not counted. Memory has no such round."""
        warm = not self.works[0].idle
        names = ", ".join(work.name for work in self.works)
        if warm:
            for entry in self.entries:
                self.start(entry)
        rounds = self.asked.rounds if warm else min(self.asked.rounds, STILL)
        for place in range(0 if warm else 1, rounds + 1):
            print(f"{names}: round {place} of {rounds}", file=sys.stderr)
            for entry in self.entries:
                if not entry.lost:
                    self.turn(entry, place)
        for entry in self.entries:
            self.end(entry)

    def turn(self, entry, place):
        """One gateway in one round. On a busy machine a round may be lost; the others count all the same."""
        try:
            figures = self.remembered(entry) if entry.run.work.idle else self.loaded(entry, place)
        except Trouble as trouble:
            print(f"{entry.peer.name} lost round {place} of {entry.run.work.name}: {trouble}", file=sys.stderr)
            figures = None
        if place and not entry.lost:
            entry.rounds.append(figures)

    def remembered(self, entry):
        """Memory of idle connections, in a process that has seen nothing else."""
        self.start(entry)
        if entry.lost:
            return None
        try:
            return {"idle_kib": idle.memory(entry.run, entry.server), "rss_mib": entry.server.resident()}
        finally:
            self.end(entry)

    def loaded(self, entry, place):
        """CPU and latency under load."""
        server, redis = entry.server, self.scene.redis if entry.run.redis else None
        counted = redis.scripts() if redis else 0
        server.must_run()
        before, waited = server.cpu(), server.waited()
        seconds = self.asked.seconds if place else self.asked.warm
        answered = load.put(entry.run, seconds, self.asked.connections, place)
        server.must_run()
        cost = (server.cpu() - before) / answered.requests
        # Of the thread that waited longest: the one that serves.
        waits = [now - waited.get(thread, now) for thread, now in server.waited().items()]
        machine = {"rss_mib": server.resident(), "waited": max(waits, default=0.0) / seconds}
        asked = redis.scripts() - counted if redis else 0
        if redis and asked < (1 - FORGIVEN) * answered.requests:
            raise Trouble(f"{answered.requests} requests, and only {asked} counted in Redis")
        server.forget_output()
        return {"cpu_us": cost, **vars(answered), **machine}

    def rows(self):
        """What was found of each gateway; ratios to HAProxy 2.8 or, where there is none, to HAProxy."""
        for entry in self.entries:
            if not entry.lost and not any(entry.rounds):
                entry.lost = "it lost every round"
        for work in self.works:
            entries = {entry.peer.name: entry for entry in self.entries if entry.run.work is work and not entry.lost}
            mark = entries.get(MARK) or entries.get("haproxy")
            for name, entry in entries.items():
                yield row(work.name, name, entry.rounds, mark.rounds if mark else [])

    def lost(self):
        """Who is not in the rows, and why."""
        for entry in self.entries:
            if entry.lost:
                yield {"work": entry.run.work.name, "gateway": entry.peer.name, "why": entry.lost}


def row(work, gateway, rounds, mark):
    """Medians over the rounds, and of the ratios within them."""
    found = {"work": work, "gateway": gateway}
    counted = [one for one in rounds if one]
    for name in counted[0]:
        values = [one[name] for one in counted if one[name] is not None]
        found[name] = statistics.median(values) if values else None
    if "cpu_us" in found:
        costs = [one["cpu_us"] for one in counted]
        found |= {"cpu_us_min": min(costs), "cpu_us_max": max(costs), "ratio": ratio(rounds, mark, "cpu_us")}
    return found | {"rounds": rounds}


def ratio(ours, theirs, figure):
    """The median of the ratios within the rounds that neither lost; None where there is no such round."""
    pairs = [one[figure] / other[figure] for one, other in zip(ours, theirs) if one and other]
    return statistics.median(pairs) if pairs else None
