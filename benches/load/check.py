#!/usr/bin/env python3
"""What the bench makes of its figures, checked without any load: `make lint-packages ARGS=bench`."""

import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import caddy
import edgeway
import envoy
import haproxy
import load
import nginx
import traefik
from chart import chart
from contest import row
from goals import GOALS, judged
from keys import Keys
from latency import whole
from report import report
from works import BY_NAME, WORKS, Run


def costing(work, gateway, costs, mark=()):
    """A row with these figures; None is a lost round."""

    def figures(cost):
        latency = {"p50": 100.0, "p99": 200.0, "p999": 300.0, "late": 10.0, "unanswered": 0}
        return {"cpu_us": cost, "idle_kib": cost, "rps": 1.0, "rss_mib": 1.0, "waited": 0.01, **latency}

    rounds = [[cost and figures(cost) for cost in one] for one in (costs, mark)]
    return row(work, gateway, *rounds)


def found(rows):
    """What the bench keeps."""
    versions = {"edgeway": "edgeway <0> & more", "haproxy": "HAProxy version 2.6.12-1, OpenSSL 3"}
    return {"rows": rows, "lost": [], "versions": versions, "how": "2 rounds", "goals": list(judged(rows))}


class Figures(unittest.TestCase):
    """Medians, ratios and goals."""

    def test_a_ratio_is_the_median_within_rounds(self):
        made = costing("plain", "edgeway", [10.0, 40.0, 90.0], [10.0, 20.0, 30.0])
        self.assertEqual((made["cpu_us"], made["ratio"]), (40.0, 2.0))

    def test_a_lost_round_counts_for_nobody(self):
        made = costing("plain", "edgeway", [10.0, None, 30.0], [10.0, 1.0, None])
        self.assertEqual((made["cpu_us"], made["ratio"]), (20.0, 1.0))
        self.assertIsNone(costing("plain", "edgeway", [10.0, None], [None, 1.0])["ratio"])

    def test_goals_are_judged(self):
        for cost, verdict in [(11.0, "stretch met"), (12.5, "must met"), (12.6, "MISSED")]:
            rows = [costing("plain", "edgeway", [cost]), costing("plain", "haproxy-2.8", [10.0])]
            self.assertEqual([one["verdict"] for one in judged(rows)], [verdict])

    def test_goals_of_works_that_were_not_run_are_not_judged(self):
        self.assertEqual(list(judged([costing("plain", "edgeway", [1.0])])), [])
        rows = [costing(work, "edgeway", [cost]) for work, cost in [("tokens", 11.0), ("hs256", 10.0), ("idle", 20.0)]]
        self.assertEqual([round(one["measured"], 2) for one in judged(rows)], [1.1, 20.0])

    def test_goals_are_about_works_of_the_same_rounds(self):
        for goal in GOALS:
            work, other = BY_NAME[goal.work], BY_NAME[goal.at or goal.work]
            self.assertTrue(goal.unit or goal.beside in other.peers, goal)
            self.assertTrue(work is other or work.group and work.group == other.group, goal)
            self.assertLessEqual(goal.stretch, goal.must, goal)

    def test_groups_stand_together(self):
        groups = [work.group or work.name for work in WORKS]
        self.assertEqual(len(set(groups)), sum(one != other for one, other in zip(groups, [None, *groups])))


class Shown(unittest.TestCase):
    """Tables and chart."""

    def test_the_chart_is_xml_and_shows_each_gateway(self):
        rows = [costing(work.name, peer, [10.0]) for work in WORKS for peer in work.peers]
        root = ElementTree.fromstring(chart(found(rows)))
        texts = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
        shown = [work for work in WORKS if len(work.peers) > 1]
        self.assertEqual(texts.count("Edgeway"), len(shown))
        self.assertEqual(texts.count("HAProxy 2.6"), 2)
        self.assertIn("prefers-color-scheme: dark", chart(found(rows)))

    def test_every_work_and_goal_is_in_a_table(self):
        rows = [costing(work.name, peer, [10.0]) for work in WORKS for peer in work.peers]
        text = report(found(rows))
        self.assertEqual(sum(" : " in line or "KiB each |" in line for line in text.splitlines()), len(GOALS) + 1)
        for line in text.splitlines():
            self.assertTrue(not line.startswith("|") or line.endswith("|"), line)


class Tools(unittest.TestCase):
    """What is read and written."""

    def test_lengths_of_time(self):
        texts = {"  50%  812.00us": 812, "Stdev 91.50%\n  50%   1.50ms": 1500, "   50%    2.00s": 2e6}
        for text, micros in texts.items():
            self.assertEqual(load.micros(r"(?m)^ +50%\s+(\S+)", text), micros)

    def test_an_answer_is_whole_with_its_length(self):
        head = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n"
        self.assertEqual([whole(head[:-2]), whole(head + b"ab"), whole(head + b"abc")], [False, False, True])

    def test_every_gateway_can_be_configured_for_its_works(self):
        makers = {
            "edgeway": edgeway.Edgeway("e"),
            "haproxy-2.8": haproxy.HAProxy("haproxy-2.8", "h"),
            "pass-through": haproxy.PassThrough("pass-through", "h"),
            "nginx": nginx.Nginx(),
            "envoy": envoy.Envoy("e"),
            "traefik": traefik.Traefik("t"),
            "caddy": caddy.Caddy("c"),
        }
        with tempfile.TemporaryDirectory() as folder:
            for work in WORKS:
                run = Run(work, Path(folder), 1, 2, [3, 4], Path(folder) / "c.pem", 5)
                if work.algorithm:
                    run.keys = Keys("hs256", folder)
                for name in set(work.peers) & set(makers):
                    self.assertTrue(makers[name].command(run), (work.name, name))
                self.assertGreater(load.script(run).stat().st_size, 100)

    def test_more_tokens_are_of_others(self):
        with tempfile.TemporaryDirectory() as folder:
            keys = Keys("hs256", folder)
            tokens = list(keys.more("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMDA0In0.x", 3))
        self.assertEqual(len(set(tokens)), 3)
        self.assertTrue(tokens[2].startswith("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMDA2In0."))


if __name__ == "__main__":
    unittest.main(testRunner=unittest.TextTestRunner(stream=sys.stdout))
