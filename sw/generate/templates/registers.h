/* {{ design.name }}: a kaniwa accelerator, target {{ design.target }}. Registers, bits and constants, for C99.
 *
 * Offsets are in bytes. {{ offsets_from }}
 * {{ design.name }}.md says how a program is run.
 */
#ifndef {{ prefix }}_H
#define {{ prefix }}_H

/* The accelerator */
{% for name, value, text in constants %}
#define {{ prefix }}_{{ name }} {{ value }} /* {{ text }} */
{% endfor %}

/* Byte offsets of the registers */
{% for word in words %}
#define {{ prefix }}_{{ word.name }}_OFFSET 0x{{ "%03X" % word.offset }}u /* {{ word.access }}: {{ word.text }} */
{% endfor %}

/* Values of registers that are constant */
{% for word in words if word.value is not none %}
#define {{ prefix }}_{{ word.name }}_VALUE 0x{{ "%08X" % word.value }}u
{% endfor %}
{% for word in words if word.bits %}

/* Bits of {{ word.name }} */
{% for bits in word.bits %}
#define {{ prefix }}_{{ word.name }}_{{ bits.name }}_SHIFT {{ bits.low }}u
#define {{ prefix }}_{{ word.name }}_{{ bits.name }}_MASK 0x{{ "%08X" % ((2 ** bits.width - 1) * 2 ** bits.low) }}u /* {{ bits.text }} */
{% for name, value in bits.values.items() %}
#define {{ prefix }}_{{ word.name }}_{{ bits.name }}_{{ name }} {{ value }}u
{% endfor %}
{% endfor %}
{% endfor %}

#endif /* {{ prefix }}_H */
