"""USB: the link's bytes as a serial port (CDC-ACM) of a full-speed device, made of LUNA's parts."""

import copy
import warnings
from types import SimpleNamespace

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.fifo import AsyncFIFOBuffered
from amaranth.lib.wiring import In, Out

__all__ = ["MOST_IN_BYTES", "PACKET_BYTES", "PRODUCT", "UsbSerial", "VENDOR"]

VENDOR, PRODUCT = 0x1209, 0x0001    # of pid.codes, for tests
PACKET_BYTES = 64
# Every packet to the host is a short one, with which a transfer ends: so no host waits for more,
# and no empty packet is ever needed.
MOST_IN_BYTES = PACKET_BYTES - 1
QUIET = 15        # cycles of 12 MHz without a byte behind which a packet goes that is not full
CROSSING = 16     # bytes between the two clocks, each way
NOTIFICATIONS, DATA = 3, 4     # numbers of endpoints, as LUNA's descriptors of CDC-ACM have them
SET_LINE_CODING, SET_CONTROL_LINE_STATE = 0x20, 0x22    # requests of CDC 1.2 PSTN


class UsbSerial(wiring.Component):
    """Bytes from the host at ``o``, to it at ``i``, in ``sync``; the host sees a serial port.

    ``usb_io`` is a clock of 48 MHz, ``usb`` one of 12 MHz from the same PLL, as LUNA wants them.
    ``d_p_in`` to ``drive`` are D+ and D- of a pair of pins; ``pull_up`` feeds 1.5 kOhm at D+.
    ``product``: the name of the device.

    A host that sends too fast gets NAK, and a byte waits at ``i`` until the host takes it. A packet
    that comes twice or damaged is taken once or not at all. A reset of the bus, and
    SET_CONFIGURATION, drop what is on its way in the endpoints; the link's CRCs and sessions see
    to it.

    Throughput: a packet of up to 64 bytes a transaction. Latency: an answer begins up to 16
    bits behind the end of a packet, as LUNA's clock crossings have it. USB 2.0 asks for 6.5
    (7.1.18.1), and lets hosts give up behind 16.
    Raises ImportError without LUNA.
    """

    def __init__(self, product: str):
        self._product = product
        self._luna = _luna()
        super().__init__({
            "d_p_in": In(1, init=1),
            "d_n_in": In(1),
            "d_p_out": Out(1, init=1),
            "d_n_out": Out(1),
            "drive": Out(1),
            "pull_up": Out(1),
            "i": In(stream.Signature(8)),
            "o": Out(stream.Signature(8)),
        })

    def elaborate(self, platform):
        m = Module()
        luna = self._luna
        m.submodules.device = device = luna.USBDevice(bus=self._pins(m))
        m.d.comb += device.connect.eq(1)
        control = device.add_standard_control_endpoint(self._descriptors())
        control.add_request_handler(_line_requests(luna))

        # Both begin with DATA0 behind a reset of the bus or SET_CONFIGURATION (USB 2.0, 9.1.1.5).
        renew = Signal()
        m.d.usb += renew.eq(device.reset_detected | control.interface.config_changed)
        follows = self._follows(m, device.utmi.rx_active, control.interface.tokenizer.new_token)
        to_host = luna.USBStreamInEndpoint(endpoint_number=DATA, max_packet_size=MOST_IN_BYTES)
        from_host = luna.USBStreamOutEndpoint(endpoint_number=DATA, max_packet_size=PACKET_BYTES)
        # It has nothing to say, so it answers NAK.
        silent = luna.USBStreamInEndpoint(endpoint_number=NOTIFICATIONS,
                                          max_packet_size=PACKET_BYTES)
        for name, endpoint in (("ToHost", to_host), ("FromHost", from_host), ("Silent", silent)):
            device.add_endpoint(_guarded(name, endpoint, renew, follows))

        m.submodules.requests = requests = AsyncFIFOBuffered(
            width=8, depth=CROSSING, w_domain="usb", r_domain="sync")
        m.submodules.answers = answers = AsyncFIFOBuffered(
            width=8, depth=CROSSING, w_domain="sync", r_domain="usb")
        quiet = Signal(range(QUIET + 1))
        m.d.comb += [
            requests.w_data.eq(from_host.stream.payload),
            requests.w_en.eq(from_host.stream.valid),
            from_host.stream.ready.eq(requests.w_rdy),
            self.o.payload.eq(requests.r_data),
            self.o.valid.eq(requests.r_rdy),
            requests.r_en.eq(self.o.ready),
            answers.w_data.eq(self.i.payload),
            answers.w_en.eq(self.i.valid),
            self.i.ready.eq(answers.w_rdy),
            to_host.stream.payload.eq(answers.r_data),
            to_host.stream.valid.eq(answers.r_rdy),
            answers.r_en.eq(to_host.stream.ready),
            to_host.flush.eq(quiet == QUIET),
        ]
        with m.If(answers.r_rdy):
            m.d.usb += quiet.eq(0)
        with m.Elif(quiet != QUIET):
            m.d.usb += quiet.eq(quiet + 1)
        return m

    def _follows(self, m, receiving, new_token):
        """Whether a packet, from its PID to the token behind it, is the first one since a token
        for the device. All others belong to tokens that were damaged, or for other devices."""
        before, packets = Signal(), Signal(2)
        m.d.usb += before.eq(receiving)
        with m.If(new_token):
            m.d.usb += packets.eq(0)
        with m.Elif(receiving & ~before & ~packets[1]):
            m.d.usb += packets.eq(packets + 1)
        return packets == 1

    def _pins(self, m):
        """D+ and D- as LUNA takes them. Its machine for resets looks at them without registers."""
        d_p, d_n, pull_up = (
            SimpleNamespace(i=Signal(name=f"{name}_i", init=init), o=Signal(name=f"{name}_o"),
                            oe=Signal(name=f"{name}_oe"))
            for name, init in (("d_p", 1), ("d_n", 0), ("pull_up", 0)))
        for name, outside, inside, init in (("d_p", self.d_p_in, d_p, 1),
                                            ("d_n", self.d_n_in, d_n, 0)):
            m.submodules[f"{name}_synchronizer"] = FFSynchronizer(
                outside, inside.i, o_domain="usb_io", init=init)
        m.d.usb_io += [self.d_p_out.eq(d_p.o), self.d_n_out.eq(d_n.o), self.drive.eq(d_p.oe)]
        m.d.usb += self.pull_up.eq(pull_up.o)
        return SimpleNamespace(d_p=d_p, d_n=d_n, pullup=pull_up)

    def _descriptors(self):
        description = self._luna.USBSerialDevice(
            bus=None, idVendor=VENDOR, idProduct=PRODUCT, manufacturer_string="kaniwa",
            product_string=self._product, serial_number=0, max_packet_size=PACKET_BYTES)
        description._MustUse__silence = True    # nothing else of it is used
        return description.create_descriptors()


def _luna():
    """The parts of LUNA that are used; they warn of what Amaranth will drop."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from luna.full_devices import USBSerialDevice
        from luna.gateware.usb.usb2.device import USBDevice
        from luna.gateware.usb.usb2.endpoints.stream import (
            USBStreamInEndpoint,
            USBStreamOutEndpoint,
        )
        from luna.gateware.usb.usb2.request import USBRequestHandler
        from usb_protocol.types import USBRequestType

        return SimpleNamespace(
            USBDevice=USBDevice, USBRequestHandler=USBRequestHandler,
            USBRequestType=USBRequestType, USBSerialDevice=USBSerialDevice,
            USBStreamInEndpoint=USBStreamInEndpoint, USBStreamOutEndpoint=USBStreamOutEndpoint)


def _guarded(name, endpoint, renew, follows):
    """``endpoint``, which begins anew after ``renew``, and takes what ``follows`` its own token.

    LUNA's takes every packet as what the last token for the device asked for: the data behind a
    damaged token, and the ACK of another device's data.
    ``name`` is that of its class: LUNA numbers a second one of a class by its place in memory, and
    then no two builds are the same.
    """
    outside = endpoint.interface
    inside = endpoint.interface = copy.copy(outside)
    inside.tokenizer = type(outside.tokenizer)()
    inside.handshakes_in = type(outside.handshakes_in)(is_detector=True)

    def elaborate(self, platform):
        m = Module()
        m.submodules.endpoint = ResetInserter({"usb": renew})(endpoint)
        m.d.comb += [
            inside.tokenizer.eq(outside.tokenizer),
            inside.tokenizer.is_out.eq(outside.tokenizer.is_out & follows),
            inside.handshakes_in.ack.eq(
                outside.handshakes_in.ack & outside.tokenizer.is_in & follows),
        ]
        return m

    return type(name, (Elaboratable,), {"interface": outside, "elaborate": elaborate})()


def _line_requests(luna):
    """Takes what a host says of baud and DTR, as a real port would; both mean nothing."""
    class LineRequests(luna.USBRequestHandler):
        def elaborate(self, platform):
            m = Module()
            interface = self.interface
            with m.If((interface.setup.type == luna.USBRequestType.CLASS)
                      & ((interface.setup.request == SET_LINE_CODING)
                         | (interface.setup.request == SET_CONTROL_LINE_STATE))):
                m.d.comb += [
                    interface.claim.eq(1),
                    interface.handshakes_out.ack.eq(interface.rx_ready_for_response),
                ]
                with m.If(interface.status_requested):
                    m.d.comb += self.send_zlp()
            return m

    return LineRequests()
