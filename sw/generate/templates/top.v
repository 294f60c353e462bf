// {{ design.name }}: a kaniwa accelerator with {{ {"axi4": "AXI", "wishbone": "Wishbone", "stream": "AXI4-Stream"}[design.bus] }} ports, in one file.
// Target {{ design.target }}, hash {{ design.config.hash }}. {{ design.name }}.md has ports, registers and memory.
// One clock domain; rst is synchronous, active high, for at least one cycle.

module {{ design.name }} (
    (* X_INTERFACE_INFO = "xilinx.com:signal:clock:1.0 clk CLK" *)
    (* X_INTERFACE_PARAMETER = "{% if design.bus != "wishbone" %}ASSOCIATED_BUSIF {{ buses | join(":") }}, {% endif %}ASSOCIATED_RESET rst" *)
    input wire clk,
    (* X_INTERFACE_INFO = "xilinx.com:signal:reset:1.0 rst RST" *)
    (* X_INTERFACE_PARAMETER = "POLARITY ACTIVE_HIGH" *)
    input wire rst,
{% for port in ports[2:] %}
{% if port.interface %}
    (* X_INTERFACE_INFO = "{{ port.interface }}" *)
{% if port.name == "irq" %}
    (* X_INTERFACE_PARAMETER = "SENSITIVITY LEVEL_HIGH" *)
{% endif %}
{% endif %}
    {{ port.declaration }}{{ "" if loop.last else "," }}
{% endfor %}
);

    {{ inner }} gateware (
{% for port in ports %}
        .{{ port.name }}({{ port.name }}){{ "" if loop.last else "," }}
{% endfor %}
    );

endmodule

